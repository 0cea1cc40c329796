import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { type Descriptor, type Digest, mediaTypes } from '../../api/mod.ts';
import { GantryError, isError, pollUntil, throwIfAborted } from '../../kernel/mod.ts';
import { openRegistryClient } from '../client/client.ts';
import { openTestRegistry } from './test-registry.ts';

export interface CrashOptions {
  /** Sizes, contents and when a registry is killed follow from it; what that interleaves with is the machine's. */
  readonly seed: number;
  /** A kill each. */
  readonly rounds: number;
  readonly report?: (line: string) => void;
}

const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
const descriptorOf = (bytes: Uint8Array, mediaType: string): Descriptor => ({ mediaType, digest: digestOf(bytes), size: bytes.length });

/**
 * Kills a registry in the midst of pushes (whole blobs, blobs in parts, blobs that many images share) and collections, round after round in one folder. After
 * the last round, and every tenth, all that was ever acknowledged is pulled and hashed, and every blob that is visible is what its name says. Throws otherwise.
 */
export async function runCrashes({ seed, rounds, report = () => undefined }: CrashOptions, signal: AbortSignal): Promise<{ images: number; parts: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-registry-crash-'));
  const acknowledged = new Map<string, Digest>();
  const random = new Random(seed);
  const shared = Array.from({ length: 3 }, () => random.bytes(50_000));
  let parts = 0;
  try {
    for (let round = 1; round <= rounds; round += 1) {
      throwIfAborted(signal);
      const { child, host } = await startRegistry(folder);
      const stop = new AbortController();
      const pushes = ['one', 'two/three'].map((repository) => pushAll({ host, repository, shared, random, acknowledged, onPart: () => (parts += 1) }, stop.signal));
      const wanted = acknowledged.size + random.between(1, 9);
      await pollUntil('acknowledged pushes', () => (acknowledged.size >= wanted ? true : undefined), { timeoutMs: 60_000, intervalMs: 1 }, signal);
      await kill(child);
      stop.abort();
      await Promise.all(pushes);
      if (round % 10 === 0 || round === rounds) {
        await verify(folder, acknowledged, signal);
        report(`${round} kills, ${acknowledged.size} images acknowledged and whole`);
      }
    }
    return { images: acknowledged.size, parts };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function startRegistry(folder: string): Promise<{ child: ChildProcess; host: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'crash-registry.ts'), folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const host of createInterface({ input: child.stdout })) return { child, host };
  throw new GantryError('internal', 'the registry did not start');
}

async function kill(child: ChildProcess): Promise<void> {
  const closed = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGKILL');
  await closed;
}

interface Pusher {
  readonly host: string;
  readonly repository: string;
  readonly shared: readonly Buffer[];
  readonly random: Random;
  readonly acknowledged: Map<string, Digest>;
  readonly onPart: () => void;
}

/** Pushes image after image until the registry is gone; notes each tag once its push was acknowledged. */
async function pushAll({ host, repository, shared, random, acknowledged, onPart }: Pusher, stop: AbortSignal): Promise<void> {
  await using client = openRegistryClient();
  while (!stop.aborted) {
    const reference = { host, repository, tag: `t${random.bytes(6).toString('hex')}` };
    const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] }, n: reference.tag }));
    const layers = [random.bytes(random.between(100, 400_000)), shared[random.between(0, shared.length - 1)] as Buffer];
    try {
      await pushInParts(`http://${host}/v2/${repository}/blobs/uploads/`, layers[0] as Buffer, random.between(1, 4), onPart, stop);
      for (const bytes of [config, ...layers.slice(1)]) await client.pushBlob(reference, descriptorOf(bytes, mediaTypes.ociLayerGzip), () => Readable.from([bytes]), undefined, stop);
      const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: descriptorOf(config, mediaTypes.ociConfig), layers: layers.map((layer) => descriptorOf(layer, mediaTypes.ociLayerGzip)) };
      const digest = await client.pushManifest(reference, mediaTypes.ociManifest, Buffer.from(JSON.stringify(manifest)), undefined, stop);
      acknowledged.set(`${repository}:${reference.tag}`, digest);
    } catch (error) {
      // On a busy machine a push can take longer than the grace: then it is refused, and nothing was acknowledged.
      if (isError(error, 'not-found')) continue;
      assert.ok(isError(error, 'unavailable', 'cancelled', 'timeout'), String(error));
      return;
    }
  }
}

/** A chunked upload. `unavailable` when the registry is gone, `not-found` when it was collected. */
async function pushInParts(url: string, content: Buffer, count: number, onPart: () => void, stop: AbortSignal): Promise<void> {
  const send = async (target: string, init: RequestInit, status: number): Promise<string> => {
    const response = await fetch(target, { ...init, signal: stop }).catch((error: unknown) => {
      throw new GantryError('unavailable', 'the registry is gone', { cause: error });
    });
    await response.arrayBuffer().catch(() => undefined);
    if (response.status === 404) throw new GantryError('not-found', 'the upload was collected');
    assert.equal(response.status, status, `${init.method ?? ''} ${target}`);
    return new URL(response.headers.get('location') ?? '', target).href;
  };
  let location = await send(url, { method: 'POST' }, 202);
  const size = Math.ceil(content.length / count);
  for (let start = 0; start < content.length; start += size) {
    const part = content.subarray(start, start + size);
    location = await send(location, { method: 'PATCH', body: new Uint8Array(part), headers: { 'content-range': `${start}-${start + part.length - 1}` } }, 202);
    onPart();
  }
  await send(`${location}?digest=${digestOf(content)}`, { method: 'PUT' }, 201);
}

async function verify(folder: string, acknowledged: ReadonlyMap<string, Digest>, signal: AbortSignal): Promise<void> {
  await using registry = await openTestRegistry({ folder });
  await using client = openRegistryClient();
  for (const [name, digest] of acknowledged) {
    const [repository = '', tag = ''] = name.split(':');
    const reference = { host: registry.host, repository, tag };
    const fetched = await client.fetchManifest(reference, undefined, signal);
    assert.equal(fetched.digest, digest, name);
    const { config, layers } = JSON.parse(Buffer.from(fetched.bytes).toString()) as { config: Descriptor; layers: Descriptor[] };
    for (const blob of [config, ...layers]) {
      const hash = createHash('sha256');
      for await (const chunk of await client.fetchBlob(reference, blob, 0, undefined, signal)) hash.update(chunk as Buffer);
      assert.equal(`sha256:${hash.digest('hex')}`, blob.digest, name);
    }
  }
  for (const entry of readdirSync(join(folder, 'blobs/sha256'), { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) assert.equal(digestOf(readFileSync(join(entry.parentPath, entry.name))), `sha256:${entry.name}`);
  }
}

/** Numbers and bytes that follow from a seed. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  bytes(count: number): Buffer {
    const blocks: Buffer[] = [];
    for (let left = count; left > 0; left -= 32) blocks.push(createHash('sha256').update(`${this.#next()}`).digest());
    return Buffer.concat(blocks).subarray(0, count);
  }

  /** Both ends included. */
  between(low: number, high: number): number {
    return low + (this.#next() % (high - low + 1));
  }

  #next(): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#state >>> 4;
  }
}
