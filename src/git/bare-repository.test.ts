import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { isError, systemClock } from '../kernel/mod.ts';
import { TestGitServer, testSignal } from './testing/git-server.ts';

const accepting = { check: async () => ({ isAccepted: true as const }), accepted: async () => undefined };

test('BareRepository reads files, folders, changes and commits', async () => {
  await using server = await TestGitServer.open(accepting);
  const work = await server.repository('shop');
  const first = await work.commit({ 'a.txt': 'one', 'dir/b.txt': 'two', 'dir/*.txt': 'star' }, 'first\n\nbody');
  const second = await work.commit({ 'a.txt': 'changed', 'dir/sub/c.txt': 'three' }, 'second');
  await work.git('push', '--quiet', 'origin', 'main');
  const repository = await server.root.get({ namespace: 'default', name: 'shop' });
  const signal = testSignal();
  assert.equal(await repository.readFile(first, 'a.txt', signal), 'one');
  assert.equal(await repository.readFile(second, 'a.txt', signal), 'changed');
  assert.equal(await repository.readFile(first, 'dir', signal), undefined);
  assert.equal(await repository.readFile(first, 'none', signal), undefined);
  assert.deepEqual(await repository.listFiles(second, 'dir', signal), ['dir/*.txt', 'dir/b.txt', 'dir/sub/c.txt']);
  assert.deepEqual(await repository.listFiles(second, '', signal), ['a.txt', 'dir/*.txt', 'dir/b.txt', 'dir/sub/c.txt']);
  assert.deepEqual(await repository.listFiles(second, 'none', signal), []);
  assert.deepEqual(await repository.changedFiles(first, second, signal), ['a.txt', 'dir/sub/c.txt']);
  assert.deepEqual(await repository.changedFiles(undefined, first, signal), ['a.txt', 'dir/*.txt', 'dir/b.txt']);
  const { timestamp, ...info } = await repository.commitInfo(first, signal);
  assert.deepEqual(info, { author: 'Alice', email: 'alice@example.com', message: 'first\n\nbody' });
  assert.ok(!Number.isNaN(Date.parse(timestamp)));
  assert.equal(await repository.isAncestor(first, second, signal), true);
  assert.equal(await repository.isAncestor(second, first, signal), false);
});

test('BareRepository.readFile() rejects paths that leave the tree, revisions, and files above 1 MiB', async () => {
  await using server = await TestGitServer.open(accepting);
  const work = await server.repository('shop');
  const commit = await work.commit({ 'large.txt': 'x'.repeat((1 << 20) + 1) });
  await work.git('push', '--quiet', 'origin', 'main');
  const repository = await server.root.get({ namespace: 'default', name: 'shop' });
  for (const path of ['/etc/passwd', '../x', 'a/../b', './a', 'a//b']) await assert.rejects(repository.readFile(commit, path, testSignal()), (error) => isError(error, 'invalid'), path);
  for (const revision of ['main', '--help', commit.slice(0, 10)]) await assert.rejects(repository.readFile(revision, 'a', testSignal()), (error) => isError(error, 'invalid'), revision);
  await assert.rejects(repository.readFile(commit, 'large.txt', testSignal()), (error) => isError(error, 'exhausted'));
  await assert.rejects(repository.archive('f'.repeat(40), testSignal()), (error) => isError(error, 'not-found'));
});

test('BareRepository.updateRefs() moves all refs or none, and only from where they were said to be', async () => {
  await using server = await TestGitServer.open(accepting);
  const work = await server.repository('shop');
  const first = await work.commit({ 'a.txt': 'one' });
  const second = await work.commit({ 'a.txt': 'two' });
  await work.git('push', '--quiet', 'origin', 'main');
  const repository = await server.root.get({ namespace: 'default', name: 'shop' });
  const change = repository.updateRefs([{ ref: 'refs/heads/a', before: undefined, after: first }, { ref: 'refs/heads/main', before: first, after: second }], testSignal());
  await assert.rejects(change, (error) => isError(error, 'conflict'));
  assert.deepEqual(await repository.refs('refs/heads/', testSignal()), [{ ref: 'refs/heads/main', commit: second }]);
  await repository.updateRefs([{ ref: 'refs/heads/a', before: undefined, after: first }, { ref: 'refs/heads/main', before: second, after: undefined }], testSignal());
  assert.deepEqual(await repository.refs('refs/heads/', testSignal()), [{ ref: 'refs/heads/a', commit: first }]);
});

test('BareRepository.annotate() replaces its note', async () => {
  await using server = await TestGitServer.open(accepting);
  const work = await server.repository('shop');
  const commit = await work.commit({ 'a.txt': 'one' });
  await work.git('push', '--quiet', 'origin', 'main');
  const repository = await server.root.get({ namespace: 'default', name: 'shop' });
  await repository.annotate(commit, 'bad: the probe failed', testSignal());
  await repository.annotate(commit, 'bad: again', testSignal());
  await work.git('fetch', '--quiet', 'origin', 'refs/notes/gantry:refs/notes/gantry');
  assert.equal(await work.git('notes', '--ref=gantry', 'show', commit), 'bad: again');
});

test('BareRepository.archive() loses nothing when it is read long after git has ended', async () => {
  await using server = await TestGitServer.open(accepting);
  const work = await server.repository('shop');
  const commit = await work.commit({ 'a.txt': 'one' });
  await work.git('push', '--quiet', 'origin', 'main');
  const repository = await server.root.get({ namespace: 'default', name: 'shop' });
  const archive = await repository.archive(commit, testSignal());
  // Whatever the delay, the archive must be whole; without one the fault would hardly show.
  await systemClock.sleep(150, testSignal());
  const { length } = await buffer(archive);
  assert.ok(length >= 10_240, `${length} bytes`);
});
