import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import type { PushGate } from '../ports.ts';
import { TestGitServer, TestWorkTree, testSignal } from '../testing/git-server.ts';
import { parseGitRoute } from './route.ts';

const accepting: PushGate = { check: async () => ({ isAccepted: true }), accepted: async () => undefined };

test('parseGitRoute() serves the smart protocol and archives, and nothing else below .git', () => {
  const commit = 'a'.repeat(40);
  const shop = { namespace: 'default', name: 'shop' };
  const cases: [method: string, url: string, expected: unknown][] = [
    ['GET', '/shop.git/info/refs?service=git-upload-pack', { kind: 'advertise', repository: shop, service: 'git-upload-pack' }],
    ['POST', '/team/shop.git/git-receive-pack', { kind: 'service', repository: { namespace: 'team', name: 'shop' }, service: 'git-receive-pack' }],
    ['GET', `/shop.git/archive/${commit}.tar`, { kind: 'archive', repository: shop, commit }],
    ['GET', '/shop.git/info/refs', { kind: 'unknown' }],
    ['GET', '/shop.git/info/refs?service=git-upload-archive', { kind: 'unknown' }],
    ['GET', '/shop.git/git-receive-pack', { kind: 'unknown' }],
    ['GET', '/shop.git/HEAD', { kind: 'unknown' }],
    ['GET', '/shop.git/config', { kind: 'unknown' }],
    ['GET', '/shop.git/archive/main.tar', { kind: 'unknown' }],
    ['GET', `/shop.git/archive/--output=${commit}.tar`, { kind: 'unknown' }],
    ['GET', '/Shop.git/info/refs?service=git-upload-pack', { kind: 'unknown' }],
    ['GET', '/-h.git/info/refs?service=git-upload-pack', { kind: 'unknown' }],
    ['GET', '/..%2fshop.git/info/refs?service=git-upload-pack', { kind: 'unknown' }],
    ['GET', '/a/b/shop.git/info/refs?service=git-upload-pack', { kind: 'none' }],
    ['GET', '/', { kind: 'none' }],
    ['GET', '/.git/config', { kind: 'none' }],
  ];
  for (const [method, url, expected] of cases) assert.deepEqual(parseGitRoute(method, url), expected, `${method} ${url}`);
});

test('GitHttpHandler asks for a token and knows only repositories that exist', async () => {
  await using server = await TestGitServer.open(accepting);
  const work = await server.repository('shop');
  const path = '/shop.git/info/refs?service=git-upload-pack';
  const base = server.url('').replace(/\/\/.*@/, '//');
  const basic = (token: string): RequestInit => ({ headers: { authorization: `Basic ${Buffer.from(`alice:${token}`).toString('base64')}` } });
  const anonymous = await fetch(`${base}${path}`);
  assert.deepEqual([anonymous.status, anonymous.headers.get('www-authenticate')], [401, 'Basic realm="gantry"']);
  assert.equal((await fetch(`${base}${path}`, basic('wrong'))).status, 401);
  assert.equal((await fetch(`${base}${path}`, basic('s3cret'))).status, 200);
  assert.equal((await fetch(`${base}/none.git/info/refs?service=git-upload-pack`, basic('s3cret'))).status, 404);
  assert.equal((await fetch(`${base}/shop.git/HEAD`, basic('s3cret'))).status, 404);
  assert.match((await work.tryGit('ls-remote', server.url('/none.git'))).stderr, /not found/);
  assert.equal((await fetch(`${base}/elsewhere`)).status, 404);
});

test('GitHttpHandler takes large chunked pushes and serves clones over protocol versions 0, 1 and 2', async () => {
  await using server = await TestGitServer.open(accepting);
  const work = await server.repository('shop');
  await writeFile(join(work.folder, 'large.bin'), randomBytes(6 << 20));
  const commit = await work.commit({ 'a.txt': 'one' });
  // Above http.postBuffer (1 MiB by default) the client sends the pack in chunks.
  await work.git('push', '--quiet', 'origin', 'main');
  for (const version of ['0', '1', '2']) {
    const clone = await TestWorkTree.open(join(server.folder, `clone-${version}`), server.url('/shop.git'));
    await clone.git('-c', `protocol.version=${version}`, 'fetch', '--quiet', 'origin', 'main');
    assert.equal(await clone.git('rev-parse', 'FETCH_HEAD'), commit);
  }
});

test('GitHttpHandler understands gzip bodies, which fetches of much history are sent as', async () => {
  await using server = await TestGitServer.open(accepting);
  const work = await server.repository('shop');
  for (let index = 0; index < 40; index += 1) await work.git('commit', '--quiet', '--allow-empty', '--message', `change ${index}`);
  await work.git('push', '--quiet', 'origin', 'main');
  const clone = await TestWorkTree.open(join(server.folder, 'clone'), server.url('/shop.git'));
  for (let index = 0; index < 40; index += 1) await clone.git('commit', '--quiet', '--allow-empty', '--message', `other ${index}`);
  const trace = await clone.tryGit('-c', 'protocol.version=0', '-c', 'http.postBuffer=1024', 'fetch', 'origin', 'main');
  assert.equal(trace.code, 0, trace.stderr);
});

test('a push that is cut off in the middle of its pack leaves nothing behind', async () => {
  await using server = await TestGitServer.open(accepting);
  await server.repository('shop');
  const url = new URL(server.url('/shop.git/git-receive-pack'));
  const half = request({ host: url.hostname, port: url.port, path: url.pathname, method: 'POST', auth: 'alice:s3cret', headers: { 'content-type': 'application/x-git-receive-pack-request', 'content-length': 100_000 } });
  half.on('error', () => undefined);
  const command = `${'0'.repeat(40)} ${'1'.repeat(40)} refs/heads/main\0 report-status`;
  half.write(`${(command.length + 4).toString(16).padStart(4, '0')}${command}0000PACK`);
  await new Promise((resolve) => half.once('socket', resolve));
  half.destroy();
  const repository = await server.root.get({ namespace: 'default', name: 'shop' });
  assert.deepEqual(await repository.refs('refs/', testSignal()), []);
});

test('archive holds exactly the files of the commit, whatever .gitattributes says, links included', async () => {
  await using server = await TestGitServer.open(accepting);
  const work = await server.repository('shop');
  await symlink('src/a.txt', join(work.folder, 'link'));
  const commit = await work.commit({ 'src/a.txt': '$Format:%H$', 'test/b.txt': 'b', '.gitattributes': 'test export-ignore\nsrc/a.txt export-subst\n' });
  await work.git('push', '--quiet', 'origin', 'main');
  const answer = await fetch(server.url(`/shop.git/archive/${commit}.tar`).replace(/\/\/.*@/, '//'), { headers: { authorization: `Basic ${Buffer.from('x:s3cret').toString('base64')}` } });
  assert.equal(answer.status, 200);
  const tar = Buffer.from(await answer.arrayBuffer());
  const listing = execFileSync('tar', ['-tf', '-'], { input: tar }).toString().trim().split('\n');
  assert.deepEqual(listing, ['.gitattributes', 'link', 'src/', 'src/a.txt', 'test/', 'test/b.txt']);
  assert.equal(execFileSync('tar', ['-xOf', '-', 'src/a.txt'], { input: tar }).toString(), '$Format:%H$');
  const missing = await fetch(server.url(`/shop.git/archive/${'0'.repeat(40)}.tar`).replace(/\/\/.*@/, '//'), { headers: { authorization: `Basic ${Buffer.from('x:s3cret').toString('base64')}` } });
  assert.equal(missing.status, 404);
});
