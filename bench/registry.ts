import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { Agent, type Dispatcher } from 'undici';
import type { Instance } from '../test/story/instance.ts';
import { type MeasuredRegistry, openDockerRegistry, openOwnRegistry } from './peers/registries.ts';
import { report, type Samples } from './report.ts';

const largeBytes = 1e9;
const chunkBytes = 1 << 20;
const smallBlobs = 500;
const smallBytes = 10_000;
const rounds = 5;

/**
 * Push and pull of one blob of 1 GB and of 500 blobs of 10 kB (eight at a time, as a client with many layers), with each registry's peak memory.
 * Pushes are as skopeo and podman do them: POST, streamed PATCH, PUT. Registries take turns, so that both meet the same disk.
 */
export async function benchRegistry(_instance: Instance, signal: AbortSignal): Promise<void> {
  await using ours = await openOwnRegistry(signal);
  await using theirs = await openDockerRegistry(signal);
  const registries = theirs === undefined ? [ours] : [ours, theirs];
  const memory: string[] = [];
  for (const workload of workloads) {
    const { what, times } = workload;
    const samples = new Map<string, number[]>(registries.map(({ who }) => [who, []]));
    const cpu = new Map<string, number>();
    for (const registry of registries) await registry.peakMb();
    for (let round = -1; round < times; round += 1) {
      for (const registry of registries) {
        const once = await workload.prepare(registry, round);
        const [startedAt, cpuBefore] = [performance.now(), await registry.cpuSeconds()];
        await once(signal);
        if (round < 0) continue;
        samples.get(registry.who)?.push(performance.now() - startedAt);
        cpu.set(registry.who, (cpu.get(registry.who) ?? 0) + (await registry.cpuSeconds()) - cpuBefore);
      }
    }
    report(what, [...samples].map(([who, timesMs]): Samples => ({ who, timesMs })));
    for (const registry of registries) memory.push(`  ${what.padEnd(34)} ${registry.who.padEnd(16)} peak ${(await registry.peakMb()).toFixed(0)} MB, ${((cpu.get(registry.who) ?? 0) / times).toFixed(2)} s of CPU a round`);
  }
  console.log(`\nmemory and CPU of the registries\n${memory.join('\n')}`);
}

interface Workload {
  readonly what: string;
  readonly times: number;
  /** Makes what is not measured (content, digests) and returns what is. Round -1 warms up. */
  prepare(registry: MeasuredRegistry, round: number): Promise<(signal: AbortSignal) => Promise<void>>;
}

const chunk = randomBytes(chunkBytes);
/** Digest of what each registry got last of a kind, to be pulled. */
const pushed = new Map<string, string[]>();

const workloads: readonly Workload[] = [
  {
    what: 'push of a blob of 1 GB',
    times: rounds,
    prepare: async (registry) => {
      const first = randomBytes(16);
      const digest = digestOf(largeContent(first));
      pushed.set(`${registry.who} large`, [digest]);
      return (signal) => push(registry.url, digest, () => Readable.from(largeContent(first), { objectMode: false }), signal);
    },
  },
  {
    what: 'pull of a blob of 1 GB',
    times: rounds,
    prepare: async (registry) => (signal) => pull(registry.url, pushed.get(`${registry.who} large`)?.[0] ?? '', largeBytes, signal),
  },
  {
    what: `push of ${smallBlobs} blobs of 10 kB`,
    times: rounds,
    prepare: async (registry) => {
      const blobs = Array.from({ length: smallBlobs }, () => randomBytes(smallBytes));
      const digests = blobs.map((blob) => digestOf([blob]));
      pushed.set(`${registry.who} small`, digests);
      return (signal) => each(blobs, (blob, index) => push(registry.url, digests[index] ?? '', () => blob, signal));
    },
  },
  {
    what: `pull of ${smallBlobs} blobs of 10 kB`,
    times: rounds,
    prepare: async (registry) => (signal) => each(pushed.get(`${registry.who} small`) ?? [], (digest) => pull(registry.url, digest, smallBytes, signal)),
  },
];

function* largeContent(first: Buffer): Generator<Buffer> {
  yield first;
  for (let left = largeBytes - first.length; left > 0; left -= chunkBytes) yield left < chunkBytes ? chunk.subarray(0, left) : chunk;
}

function digestOf(content: Iterable<Buffer>): string {
  const hash = createHash('sha256');
  for (const part of content) hash.update(part);
  return `sha256:${hash.digest('hex')}`;
}

/** Eight at a time. */
async function each<T>(items: readonly T[], work: (item: T, index: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (let index = next++; index < items.length; index = next++) await work(items[index] as T, index);
  }));
}

const agent = new Agent({ connections: 8 });

async function push(url: string, digest: string, body: () => Readable | Buffer, signal: AbortSignal): Promise<void> {
  const begun = await send(`${url}/v2/bench/blobs/uploads/`, { method: 'POST' }, 202, signal);
  const patched = await send(new URL(begun, url).href, { method: 'PATCH', headers: { 'content-type': 'application/octet-stream' }, body: body() }, 202, signal);
  const close = new URL(patched, url);
  close.searchParams.set('digest', digest);
  await send(close.href, { method: 'PUT' }, 201, signal);
}

/** The Location of the answer. */
async function send(url: string, options: { method: Dispatcher.HttpMethod; headers?: Record<string, string>; body?: Readable | Buffer }, status: number, signal: AbortSignal): Promise<string> {
  const { origin, pathname, search } = new URL(url);
  const { statusCode, headers, body } = await agent.request({ origin, path: `${pathname}${search}`, signal, ...options });
  await body.dump();
  if (statusCode !== status) throw new Error(`${options.method} ${url} answered ${statusCode}`);
  return String(headers['location']);
}

async function pull(url: string, digest: string, sizeBytes: number, signal: AbortSignal): Promise<void> {
  const { body } = await agent.request({ origin: url, path: `/v2/bench/blobs/${digest}`, method: 'GET', signal });
  let received = 0;
  for await (const part of body) received += (part as Buffer).length;
  if (received !== sizeBytes) throw new Error(`${digest} came with ${received} bytes`);
}
