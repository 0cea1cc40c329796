import { GantryError } from '../../kernel/mod.ts';
import { findProgram } from './detect.ts';

/** Where the init appears in the container, as under Docker. */
export const initTarget = '/sbin/docker-init';

/** A static init of the host that reaps and forwards signals. `unavailable` when none is installed. */
export async function findInit(): Promise<string> {
  for (const name of ['docker-init', 'tini-static', 'catatonit']) {
    const path = await findProgram(name);
    if (path !== undefined) return path;
  }
  throw new GantryError('unavailable', 'no init for containers is installed: docker-init, tini-static or catatonit');
}
