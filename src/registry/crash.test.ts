import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { type Descriptor, type Digest, mediaTypes } from '../api/mod.ts';
import { GantryError, isError, pollUntil } from '../kernel/mod.ts';
import { openRegistryClient } from './mod.ts';
import { openTestRegistry } from './testing/test-registry.ts';

const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
const descriptorOf = (bytes: Uint8Array, mediaType: string): Descriptor => ({ mediaType, digest: digestOf(bytes), size: bytes.length });

async function startRegistry(folder: string): Promise<{ child: ChildProcess; host: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'testing/crash-registry.ts'), folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const host of createInterface({ input: child.stdout })) return { child, host };
  throw new GantryError('internal', 'the registry did not start');
}

async function kill(child: ChildProcess): Promise<void> {
  const closed = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGKILL');
  await closed;
}

/** Pushes image after image until the registry is gone; notes each tag once its push was acknowledged. */
async function pushAll(host: string, repository: string, acknowledged: Map<string, Digest>, stop: AbortSignal): Promise<void> {
  await using client = openRegistryClient();
  while (!stop.aborted) {
    const reference = { host, repository, tag: `t${randomBytes(6).toString('hex')}` };
    const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] }, n: reference.tag }));
    const layer = randomBytes(randomInt(100, 400_000));
    try {
      for (const bytes of [config, layer]) await client.pushBlob(reference, descriptorOf(bytes, mediaTypes.ociLayerGzip), () => Readable.from([bytes]), undefined, stop);
      const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: descriptorOf(config, mediaTypes.ociConfig), layers: [descriptorOf(layer, mediaTypes.ociLayerGzip)] };
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

test('kill -9 during pushes and collections loses no acknowledged image and leaves no half blob', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-registry-crash-'));
  const acknowledged = new Map<string, Digest>();
  try {
    for (let round = 0; round < 5; round += 1) {
      const { child, host } = await startRegistry(folder);
      const stop = new AbortController();
      const pushes = ['one', 'two/three'].map((repository) => pushAll(host, repository, acknowledged, stop.signal));
      const wanted = acknowledged.size + randomInt(3, 12);
      await pollUntil('acknowledged pushes', () => (acknowledged.size >= wanted ? true : undefined), { timeoutMs: 30_000, intervalMs: 2 }, stop.signal);
      await kill(child);
      stop.abort();
      await Promise.all(pushes);
    }
    await verify(folder, acknowledged);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

async function verify(folder: string, acknowledged: ReadonlyMap<string, Digest>): Promise<void> {
  await using registry = await openTestRegistry({ folder });
  await using client = openRegistryClient();
  const { signal } = new AbortController();
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
