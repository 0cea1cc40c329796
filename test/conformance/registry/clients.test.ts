import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { mediaTypes } from '../../../src/api/mod.ts';
import { openTestRegistry } from '../../../src/registry/testing/test-registry.ts';
import { formatTarHeader, tarEnd, tarPadding } from '../../../src/wire/mod.ts';
import { digestOf, RepositoryRequests } from './requests.ts';

const run = promisify(execFile);

/** False, or why the test of the client is left out. */
function skipWithout(command: string): string | false {
  if (process.getuid?.() !== 0) return 'needs root';
  return spawnSync(command, ['--version']).error === undefined ? false : `${command} is not installed`;
}

/** An image with one file, which every client accepts. */
async function pushImage(repository: RepositoryRequests, tag: string): Promise<void> {
  const content = Buffer.from('hello\n');
  const header = { type: 'file', path: 'hello', linkPath: '', mode: 0o644, uid: 0, gid: 0, sizeBytes: content.length, mtimeSeconds: 0, deviceMajor: 0, deviceMinor: 0, xattrs: new Map() } as const;
  const tar = Buffer.concat([formatTarHeader(header), content, Buffer.alloc(tarPadding(content.length)), tarEnd()]);
  const layer = await repository.pushBlob(gzipSync(tar), mediaTypes.ociLayerGzip);
  const diffId = digestOf(tar);
  const config = await repository.pushBlob(JSON.stringify({ architecture: process.arch === 'arm64' ? 'arm64' : 'amd64', os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: [diffId] } }), mediaTypes.ociConfig);
  await repository.pushManifest(tag, mediaTypes.ociManifest, JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer] }));
}

/** A registry with `from/app:v1`, and a folder for the client. */
async function fixture(): Promise<AsyncDisposable & { host: string; folder: string; tagsOf(name: string): Promise<string[]>; typeOf(name: string, tag: string): Promise<string | null> }> {
  const registry = await openTestRegistry();
  const folder = mkdtempSync(join(tmpdir(), 'gantry-clients-'));
  await pushImage(new RepositoryRequests(registry.url, 'from/app'), 'v1');
  return {
    host: registry.host,
    folder,
    tagsOf: async (name) => (JSON.parse((await new RepositoryRequests(registry.url, name).send('GET', 'tags/list')).text) as { tags: string[] }).tags,
    typeOf: async (name, tag) => (await new RepositoryRequests(registry.url, name).send('HEAD', `manifests/${tag}`)).headers.get('content-type'),
    [Symbol.asyncDispose]: async () => {
      await registry[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

test('skopeo copies between repositories and to files, in both formats, lists and deletes', { skip: skipWithout('skopeo') }, async () => {
  await using registry = await fixture();
  const skopeo = async (...args: string[]): Promise<string> => (await run('skopeo', ['--insecure-policy', ...args])).stdout;
  const copy = (from: string, to: string, ...flags: string[]) => skopeo('copy', '--src-tls-verify=false', '--dest-tls-verify=false', ...flags, from, to);
  const source = `docker://${registry.host}/from/app:v1`;
  await copy(source, `docker://${registry.host}/to/app:oci`);
  await copy(source, `docker://${registry.host}/to/app:docker`, '--format', 'v2s2');
  await copy(source, `oci:${registry.folder}/layout:v1`);
  await copy(`oci:${registry.folder}/layout:v1`, `docker://${registry.host}/to/app:again`);
  assert.deepEqual(await registry.tagsOf('to/app'), ['again', 'docker', 'oci']);
  assert.deepEqual([await registry.typeOf('to/app', 'oci'), await registry.typeOf('to/app', 'docker')], [mediaTypes.ociManifest, mediaTypes.dockerManifest]);
  await skopeo('delete', '--tls-verify=false', `docker://${registry.host}/to/app:docker`);
  assert.deepEqual(JSON.parse(await skopeo('list-tags', '--tls-verify=false', `docker://${registry.host}/to/app`)), { Repository: `${registry.host}/to/app`, Tags: ['again', 'oci'] });
});

for (const client of ['podman', 'buildah'] as const) {
  test(`${client} pulls, and pushes in both formats`, { skip: skipWithout(client), timeout: 120_000 }, async () => {
    await using registry = await fixture();
    const roots = ['--root', join(registry.folder, 'root'), '--runroot', join(registry.folder, 'run'), '--storage-driver', 'vfs'];
    const call = (...args: string[]) => run(client, [...roots, ...args]);
    const source = `${registry.host}/from/app:v1`;
    await call('pull', '--tls-verify=false', source);
    await call('push', '--tls-verify=false', source, `docker://${registry.host}/to/app:oci`);
    await call('push', '--tls-verify=false', '--format', 'v2s2', source, `docker://${registry.host}/to/app:docker`);
    assert.deepEqual(await registry.tagsOf('to/app'), ['docker', 'oci']);
    assert.equal(await registry.typeOf('to/app', 'docker'), mediaTypes.dockerManifest);
    await call('rmi', source);
    await call('pull', '--tls-verify=false', `${registry.host}/to/app:docker`);
  });
}

test('skopeo logs in by token: what its user may not do is refused', { skip: skipWithout('skopeo') }, async () => {
  await using source = await fixture();
  await using registry = await openTestRegistry({
    authorizer: {
      scheme: 'token',
      authenticate: async ({ username, password }) => (password === 'right' ? username : undefined),
      isAllowed: async (user, repository, verb) => user === 'writer' || (user === 'reader' && verb === 'pull') || (repository === 'public/app' && verb === 'pull'),
    },
  });
  const skopeo = (...args: string[]) => run('skopeo', ['--insecure-policy', ...args]);
  const push = (credentials: string, name: string) => skopeo('copy', '--src-tls-verify=false', '--dest-tls-verify=false', '--dest-creds', credentials, `docker://${source.host}/from/app:v1`, `docker://${registry.host}/${name}:v1`);
  const inspect = (name: string, ...flags: string[]) => skopeo('inspect', '--raw', '--tls-verify=false', ...flags, `docker://${registry.host}/${name}:v1`);
  for (const name of ['private/app', 'public/app']) await push('writer:right', name);
  await inspect('private/app', '--creds', 'reader:right');
  await inspect('public/app', '--no-creds');
  await assert.rejects(push('reader:right', 'private/app'), /denied|403/);
  await assert.rejects(push('writer:wrong', 'private/app'), /unauthorized|authentication|401/);
  await assert.rejects(inspect('private/app', '--no-creds'), /unauthorized|authentication|401/);
  await skopeo('delete', '--tls-verify=false', '--creds', 'writer:right', `docker://${registry.host}/private/app:v1`);
});
