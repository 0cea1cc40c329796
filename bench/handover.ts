import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Digest } from '../src/api/mod.ts';
import { openImageStore } from '../src/engine/mod.ts';
import { runCommand, silentLogger } from '../src/kernel/mod.ts';
import { type NeighbourRegistry, openRegistryClient } from '../src/registry/mod.ts';
import { blobFile, handOver } from '../src/store/mod.ts';
import type { Instance } from '../test/story/instance.ts';
import { type MeasuredRegistry, openOwnRegistry } from './peers/registries.ts';
import { percentile } from '../test/story/load.ts';

const layerBytes = 256 << 20;
const rounds = 5;

interface Cost { readonly ms: number; readonly cpuSeconds: number; readonly writtenMb: number }

/**
 * An image with a layer of 256 MB from build to run on one machine: its first push (which compresses), the push of its blobs to an empty registry, and a
 * pull by a store that has nothing; with the blobs sent, and with them handed over by a second name. Costs are those of registry and engine together.
 */
export async function benchHandover(_instance: Instance, signal: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-bench-handover-'));
  try {
    const costs = new Map<string, Cost[]>();
    for (let round = 0; round < rounds; round += 1) {
      const layer = join(folder, `layer-${round}`);
      await writeFile(layer, randomBytes(layerBytes));
      for (const how of ['sent', 'handed over'] as const) for (const [what, cost] of await once(folder, layer, how === 'handed over', signal)) costs.set(`${what}, ${how}`, [...(costs.get(`${what}, ${how}`) ?? []), cost]);
      await rm(layer);
    }
    console.log('\nan image of 256 MB on one machine, medians');
    for (const [what, all] of [...costs].toSorted(([a], [b]) => a.localeCompare(b))) {
      const median = (of: (cost: Cost) => number): number => percentile(all.map(of), 0.5);
      console.log(`  ${what.padEnd(44)} ${median(({ ms }) => ms).toFixed(0).padStart(6)} ms  ${median(({ cpuSeconds }) => cpuSeconds).toFixed(2).padStart(5)} s of CPU  ${median(({ writtenMb }) => writtenMb).toFixed(0).padStart(5)} MB written`);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function once(folder: string, layer: string, isHandedOver: boolean, signal: AbortSignal): Promise<[what: string, cost: Cost][]> {
  await using first = await openOwnRegistry(signal);
  await using second = await openOwnRegistry(signal);
  const own = await mkdtemp(join(folder, 'round-'));
  const store = (name: string, registry: MeasuredRegistry) => {
    const images = join(own, name);
    const client = openRegistryClient(isHandedOver ? { neighbour: neighbourOf(registry, images) } : {});
    return openImageStore({ folder: images, registry: client, log: silentLogger() });
  };
  const result: [string, Cost][] = [];
  const diffId = await importFile(await store('builder', first), layer, `${hostOf(first)}/app:v1`, signal);
  {
    await using builder = await store('builder', first);
    result.push(['first push, compressing', await measure([first], () => builder.push(`${hostOf(first)}/app:v1`, {}, signal))]);
  }
  {
    await using builder = await store('builder', second);
    await builder.tag(diffId, `${hostOf(second)}/app:v1`);
    result.push(['push to an empty registry', await measure([second], () => builder.push(`${hostOf(second)}/app:v1`, {}, signal))]);
  }
  {
    await using runner = await store('runner', second);
    result.push(['pull and unpack', await measure([second], () => runner.pull(`${hostOf(second)}/app:v1`, { policy: 'always' }, signal))]);
  }
  const { stdout } = await runCommand('du', ['-sm', '--total', second.folder, join(own, 'builder', 'blobs'), join(own, 'runner', 'blobs')], {}, signal);
  result.push(['blobs on disk: a registry and two stores', { ms: Number.NaN, cpuSeconds: Number.NaN, writtenMb: Number(/(\d+)\s+total/.exec(stdout)?.[1]) }]);
  await rm(own, { recursive: true, force: true });
  return result;
}

function neighbourOf(registry: MeasuredRegistry, images: string): NeighbourRegistry {
  const blobs = join(registry.folder, 'blobs');
  return { host: hostOf(registry), offer: (digest, uploadId) => handOver(blobs, uploadId, blobFile(join(images, 'blobs'), digest)), fileOf: (digest) => blobFile(blobs, digest) };
}

function hostOf({ url }: MeasuredRegistry): string {
  return url.slice('http://'.length);
}

/** Makes an image of one file; closes the store. */
async function importFile(images: Awaited<ReturnType<typeof openImageStore>>, file: string, name: string, signal: AbortSignal): Promise<Digest> {
  await using store = images;
  const tar = spawn('tar', ['-c', '-C', join(file, '..'), file.slice(file.lastIndexOf('/') + 1)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const { diffId } = await store.importLayer(tar.stdout, signal);
  return store.createImage({ os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64', config: {}, rootfs: { type: 'layers', diff_ids: [diffId] }, history: [] }, [name], signal);
}

async function measure(registries: readonly MeasuredRegistry[], work: () => Promise<unknown>): Promise<Cost> {
  const spent = async (): Promise<{ cpuSeconds: number; writtenMb: number }> => {
    const usage = process.resourceUsage();
    const own = (usage.userCPUTime + usage.systemCPUTime) / 1e6;
    const cpu = await Promise.all(registries.map((registry) => registry.cpuSeconds()));
    const written = await Promise.all([process.pid, ...registries.map(({ pid }) => pid)].map(writtenBytes));
    return { cpuSeconds: [own, ...cpu].reduce((a, b) => a + b), writtenMb: written.reduce((a, b) => a + b) / 1e6 };
  };
  const before = await spent();
  const startedAt = performance.now();
  await work();
  const ms = performance.now() - startedAt;
  const after = await spent();
  return { ms, cpuSeconds: after.cpuSeconds - before.cpuSeconds, writtenMb: after.writtenMb - before.writtenMb };
}

async function writtenBytes(pid: number): Promise<number> {
  return Number(/^write_bytes: (\d+)/m.exec(await readFile(`/proc/${pid}/io`, 'utf8'))?.[1]);
}
