/**
 * Writes differential.json: what Debian's dockerd makes of the contexts of differential-vectors.ts, by its classic builder and by the BuildKit
 * in it. Run by hand, as root, where dockerd and Debian's docker client are: `node test/conformance/dockerfile/differential-record.ts`.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Dockerd } from '../../../bench/peers/dockerd.ts';
import { GantryError } from '../../../src/kernel/mod.ts';
import { buildAndSave } from './docker-build.ts';
import { vectors } from './differential-vectors.ts';
import type { SavedImage } from './saved-image.ts';

const signal = AbortSignal.timeout(900_000);
await using dockerd = await Dockerd.open(signal);
if (dockerd === undefined) throw new GantryError('unavailable', 'dockerd is not installed');
const recorded: Record<string, Record<string, SavedImage>> = {};
for (const vector of vectors) {
  const of = (usesBuildkit: boolean): Promise<SavedImage> => buildAndSave(vector, { socketPath: dockerd.socketPath, client: '/usr/bin/docker', usesBuildkit }, signal);
  // The classic builder has not all that Dockerfiles can say.
  recorded[vector.name] = { buildkit: await of(true), ...(vector.needsBuildkit === true ? {} : { classic: await of(false) }) };
}
writeFileSync(join(import.meta.dirname, 'differential.json'), `${JSON.stringify(recorded, undefined, 1)}\n`);
