import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../../kernel/mod.ts';
import { openRegistry, type Registry, type RegistryOptions } from '../server/registry.ts';

export interface TestRegistry extends AsyncDisposable {
  readonly url: string;
  /** `127.0.0.1:port`, for image references. */
  readonly host: string;
  readonly folder: string;
  readonly registry: Registry;
  /** Stops and opens the folder again, on another port. */
  restart(): Promise<void>;
}

/** A registry in a temporary folder on a free port of loopback. */
export async function openTestRegistry(options: Partial<RegistryOptions> = {}): Promise<TestRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-registry-'));
  const start = async () => {
    const registry = await openRegistry({ folder, log: silentLogger(), ...options });
    return { registry, listening: await registry.listen({ host: '127.0.0.1', port: 0 }) };
  };
  let running = await start();
  return {
    folder,
    get url() {
      return running.listening.url;
    },
    get host() {
      return running.listening.host;
    },
    get registry() {
      return running.registry;
    },
    restart: async () => {
      await running.listening[Symbol.asyncDispose]();
      running = await start();
    },
    [Symbol.asyncDispose]: async () => {
      await running.listening[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
