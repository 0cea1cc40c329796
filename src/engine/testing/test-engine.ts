import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GantryError, isError, randomHex, silentLogger } from '../../kernel/mod.ts';
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

/** `change`: options that differ. */
export async function openTestEngine(images?: RootfsSource, change: Partial<EngineOptions> = {}): Promise<TestEngine> {
  for (;;) {
    const opened = await openOnce(images, change);
    // Two engines that open at the same instant may have picked the same addresses; both pick again.
    if (hasOwnAddresses(opened.options)) return opened;
    await opened[Symbol.asyncDispose]();
  }
}

async function openOnce(images: RootfsSource | undefined, change: Partial<EngineOptions>): Promise<TestEngine> {
  const busybox = images === undefined ? new BusyboxImages() : undefined;
  const source = images ?? busybox;
  if (source === undefined) throw new GantryError('internal', 'no images');
  const instanceId = randomHex(4);
  const rootFolder = mkdtempSync(join(tmpdir(), 'gantry-engine-'));
  const options: EngineOptions = {
    ...freeSubnets(),
    instanceId,
    publishAddress: '127.0.0.1',
    rootFolder,
    runFolder: `/run/gantry-${instanceId}`,
    images: source,
    logCheckIntervalMs: 100,
    log: silentLogger(),
    ...change,
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
      await engine.purge(AbortSignal.timeout(30_000)).catch(async (error: unknown) => {
        if (!isError(error, 'conflict')) throw error;
        // The test closed the engine and then failed: only an open one knows what is to be removed.
        engine = await openEngine(options, AbortSignal.timeout(20_000));
        await engine.purge(AbortSignal.timeout(30_000));
      });
      rmSync(rootFolder, { recursive: true, force: true });
      busybox?.[Symbol.dispose]();
    },
  };
}

type Subnets = Pick<EngineOptions, 'defaultCidr' | 'podCidr' | 'userCidr'>;

/** Ranges of 198.18.0.0/15, which is reserved for tests of networks (RFC 2544), that no interface of this machine uses. */
function freeSubnets(): Subnets {
  for (;;) {
    const block = Number.parseInt(randomHex(1), 16);
    const base = `198.${18 + (block >> 7)}`;
    const third = (block & 127) * 2;
    const subnets = { defaultCidr: `${base}.${third}.0/25`, podCidr: `${base}.${third}.128/25`, userCidr: `${base}.${third + 1}.0/24` };
    if ([third, third + 1].every((number) => addressesLike(`${base}.${number}.`).length === 0)) return subnets;
  }
}

function hasOwnAddresses({ defaultCidr }: Subnets): boolean {
  const prefix = defaultCidr.replace(/\.\d+\/\d+$/, '.');
  // The two gateways, of the default and of the pod network.
  return addressesLike(prefix).length === 2;
}

/** Of all interfaces, also those without a carrier, which node:os leaves out. */
function addressesLike(prefix: string): string[] {
  const lines = execFileSync('ip', ['-4', '-o', 'addr'], { encoding: 'utf8' });
  return [...lines.matchAll(/ inet ([\d.]+)\//g)].map(([, address = '']) => address).filter((address) => address.startsWith(prefix));
}
