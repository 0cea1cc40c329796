import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomHex, silentLogger } from '../../kernel/mod.ts';
import type { Engine } from '../engine.ts';
import { type EngineOptions, openEngine } from '../open-engine.ts';
import type { RootfsSource } from '../types.ts';
import { BusyboxImages } from './busybox-images.ts';

/** An engine with a random instance id, folders and subnets of its own. Disposing purges all of it. */
export interface TestEngine extends AsyncDisposable {
  readonly engine: Engine;
  readonly options: EngineOptions;
  /** Closes the engine and opens it again on the same folders, as a restart of the agent does. */
  reopen(): Promise<Engine>;
}

export async function openTestEngine(images?: RootfsSource): Promise<TestEngine> {
  const busybox = images === undefined ? new BusyboxImages() : undefined;
  const instanceId = randomHex(4);
  const rootFolder = mkdtempSync(join(tmpdir(), 'gantry-engine-'));
  const options: EngineOptions = {
    ...randomSubnets(),
    instanceId,
    publishAddress: '127.0.0.1',
    rootFolder,
    runFolder: `/run/gantry-${instanceId}`,
    images: images ?? busybox ?? new BusyboxImages(),
    log: silentLogger(),
  };
  let engine = await openEngine(options, AbortSignal.timeout(20_000));
  return {
    get engine() {
      return engine;
    },
    options,
    reopen: async () => {
      await engine[Symbol.asyncDispose]();
      engine = await openEngine(options, AbortSignal.timeout(20_000));
      return engine;
    },
    [Symbol.asyncDispose]: async () => {
      await engine.purge(AbortSignal.timeout(30_000));
      rmSync(rootFolder, { recursive: true, force: true });
      busybox?.[Symbol.dispose]();
    },
  };
}

/** Three ranges of 198.18.0.0/15, which is reserved for tests of networks (RFC 2544), that no other engine of the machine uses now. */
function randomSubnets(): { defaultCidr: string; podCidr: string; userCidr: string } {
  const taken = readFileSync('/proc/net/route', 'latin1');
  for (;;) {
    const block = Number.parseInt(randomHex(2), 16) % 128;
    const [second, third] = [18 + (block >> 6), (block & 63) * 4];
    // Routes hold addresses as little-endian hex.
    const route = `00${[third, second, 198].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`.toUpperCase();
    if (taken.includes(`\t${route}\t`)) continue;
    const base = `198.${second}`;
    return { defaultCidr: `${base}.${third}.0/24`, podCidr: `${base}.${third + 1}.0/24`, userCidr: `${base}.${third + 2}.0/23` };
  }
}
