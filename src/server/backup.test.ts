import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isError } from '../kernel/mod.ts';
import { openTestRegistry } from '../registry/testing/test-registry.ts';
import { SqliteObjectStore } from '../store/mod.ts';
import { removeBackupDebris, restoreBackup, writeBackup } from './backup.ts';
import { instancePaths } from './paths.ts';

const signal = AbortSignal.timeout(120_000);
const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
const digestOf = (bytes: string | Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

function git(...args: string[]): string {
  const identity = { GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@b', GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a@b' };
  return execFileSync('git', args, { encoding: 'utf8', env: { PATH: process.env['PATH'] ?? '', ...identity }, stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

async function pushImage(url: string, repository: string, tag: string): Promise<string> {
  const put = async (content: Buffer) => {
    const digest = digestOf(content);
    assert.equal((await fetch(`${url}/v2/${repository}/blobs/uploads/?digest=${digest}`, { method: 'POST', body: content })).status, 201);
    return { mediaType: 'application/octet-stream', digest, size: content.length };
  };
  const body = JSON.stringify({ schemaVersion: 2, config: await put(Buffer.from('{}')), layers: [await put(randomBytes(5000))] });
  assert.equal((await fetch(`${url}/v2/${repository}/manifests/${tag}`, { method: 'PUT', headers: { 'content-type': ociManifest }, body })).status, 201);
  return digestOf(body);
}

/** The digest that a tag names, once every blob of the image has been read and checked. */
async function wholeImage(url: string, repository: string, tag: string): Promise<string> {
  const manifest = await (await fetch(`${url}/v2/${repository}/manifests/${tag}`)).text();
  const { config, layers } = JSON.parse(manifest) as { config: { digest: string }; layers: { digest: string }[] };
  for (const { digest } of [config, ...layers]) assert.equal(digestOf(Buffer.from(await (await fetch(`${url}/v2/${repository}/blobs/${digest}`)).arrayBuffer())), digest);
  return digestOf(manifest);
}

/** The durable parts of an instance, with something in each. */
async function openInstance(folder: string) {
  const parts = new AsyncDisposableStack();
  const paths = instancePaths(join(folder, 'data'), join(folder, 'run'));
  const repository = join(paths.git, 'shop.git');
  git('init', '-q', '--bare', '-b', 'main', repository);
  const commit = git('-C', repository, 'commit-tree', '-m', 'first', git('-C', repository, 'mktree', '--missing'));
  git('-C', repository, 'update-ref', 'refs/heads/main', commit);
  mkdirSync(paths.pki, { recursive: true });
  writeFileSync(join(paths.pki, 'ca.key'), 'key', { mode: 0o600 });
  writeFileSync(paths.token, 'token\n', { mode: 0o600 });
  writeFileSync(paths.record, '{"version":1}');
  writeFileSync(paths.configFile, 'logLevel: info\n');
  const store = parts.use(await SqliteObjectStore.open(join(paths.store, 'objects.db')));
  await store.put('/pods/default/one', '{"n":1}');
  const registry = parts.use(await openTestRegistry({ folder: paths.registry }));
  return { paths, store, registry, commit, image: await pushImage(registry.url, 'team/shop', 'v1'), [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

test('a backup that is made while everything goes on becomes a whole instance elsewhere', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-backup-'));
  try {
    const archive = join(folder, 'backup.tar');
    const pushed = new Map<string, string>();
    let expected: { commit: string; image: string; revision: number };
    {
      await using instance = await openInstance(folder);
      const { paths, store, registry, commit, image } = instance;
      const stop = new AbortController();
      const pushing = (async () => {
        for (let round = 0; !stop.signal.aborted; round += 1) pushed.set(`t${round}`, await pushImage(registry.url, 'team/shop', `t${round}`));
      })();
      const writing = (async () => {
        for (let round = 0; !stop.signal.aborted; round += 1) await store.put('/pods/default/two', String(round));
      })();
      expected = { commit, image, revision: store.revision };
      const backup = writeBackup({ instance: { paths, settings: {} }, store }, createWriteStream(archive), signal).finally(() => stop.abort());
      await Promise.all([backup, pushing, writing]);
      assert.deepEqual(readdirSync(paths.dataDir).filter((name) => name.startsWith('.backup-')), []);
    }
    const target = instancePaths(join(folder, 'elsewhere/data'), join(folder, 'run'));
    await restoreBackup(archive, target.dataDir, signal);
    await using store = await SqliteObjectStore.open(join(target.store, 'objects.db'));
    assert.equal((await store.get('/pods/default/one'))?.value, '{"n":1}');
    assert.ok(store.revision >= expected.revision && store.isIntact());
    assert.equal(git('-C', join(target.git, 'shop.git'), 'rev-parse', 'main'), expected.commit);
    git('-C', join(target.git, 'shop.git'), 'fsck', '--strict');
    await using registry = await openTestRegistry({ folder: target.registry });
    assert.equal(await wholeImage(registry.url, 'team/shop', 'v1'), expected.image);
    const { tags } = (await (await fetch(`${registry.url}/v2/team/shop/tags/list`)).json()) as { tags: string[] };
    for (const tag of tags) if (tag !== 'v1') assert.equal(await wholeImage(registry.url, 'team/shop', tag), pushed.get(tag));
    assert.deepEqual([readFileSync(target.token, 'utf8'), readFileSync(join(target.pki, 'ca.key'), 'utf8'), readFileSync(target.configFile, 'utf8')], ['token\n', 'key', 'logLevel: info\n']);
    assert.deepEqual([statSync(target.token).mode & 0o777, statSync(join(target.pki, 'ca.key')).mode & 0o777, statSync(target.dataDir).mode & 0o077], [0o600, 0o600, 0]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('restoreBackup() takes no folder that is in use, and leaves none of an archive that is damaged or another', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-backup-'));
  try {
    const archive = join(folder, 'backup.tar');
    {
      await using instance = await openInstance(folder);
      await writeBackup({ instance: { paths: instance.paths, settings: {} }, store: instance.store }, createWriteStream(archive), signal);
      await assert.rejects(restoreBackup(archive, instance.paths.dataDir, signal), (error) => isError(error, 'already-exists'));
    }
    const target = join(folder, 'new');
    writeFileSync(join(folder, 'cut.tar'), readFileSync(archive).subarray(0, 20_000));
    execFileSync('bsdtar', ['-c', '-f', join(folder, 'other.tar'), '-C', folder, 'cut.tar']);
    for (const name of ['cut.tar', 'other.tar', 'none.tar']) await assert.rejects(restoreBackup(join(folder, name), target, signal), (error) => isError(error, 'invalid'), name);
    assert.deepEqual(readdirSync(folder).filter((name) => name.startsWith('new')), []);
    await restoreBackup(archive, target, signal);
    assert.ok(readdirSync(target).includes('store'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('removeBackupDebris() clears what a stop in the middle left', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-backup-'));
  try {
    mkdirSync(join(folder, '.backup-abc/store'), { recursive: true });
    writeFileSync(join(folder, 'token'), 't');
    await removeBackupDebris(instancePaths(folder, folder));
    assert.deepEqual(readdirSync(folder), ['token']);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
