import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { aborted, GantryError, pollUntil } from '../../kernel/mod.ts';
import type { PushGate, RefUpdate } from '../ports.ts';
import { TestGitServer, testSignal } from '../testing/git-server.ts';

const accepting: PushGate = { check: async () => ({ isAccepted: true }), accepted: async () => undefined };

function refusing(reason: string): PushGate {
  return { check: async () => ({ isAccepted: false, reason }), accepted: async () => undefined };
}

test('git push moves a protected branch after the gate accepted, and shows what the gate and the rollout say', async () => {
  const seen: RefUpdate[] = [];
  await using server = await TestGitServer.open({
    check: async (update, write) => {
      seen.push(update);
      write('unit    started');
      write('unit    12 passed');
      return { isAccepted: true };
    },
    accepted: async (_update, write) => write('rolling out'),
  });
  const work = await server.repository('shop');
  const commit = await work.commit({ 'a.txt': 'one' });
  const push = await work.tryGit('push', 'origin', 'main');
  assert.equal(push.code, 0, push.stderr);
  assert.deepEqual(push.stderr.split('\n').filter((line) => line.startsWith('remote:')).map((line) => line.trimEnd()), ['remote: unit    started', 'remote: unit    12 passed', 'remote: rolling out']);
  assert.equal(await work.git('ls-remote', 'origin', 'refs/heads/main'), `${commit}\trefs/heads/main`);
  assert.deepEqual(seen, [{ namespace: 'default', repository: 'shop', ref: 'refs/heads/main', before: undefined, after: commit, actor: 'alice', isProtected: true }]);
});

test('git push is refused with the reason of the gate; the branch stays and the candidate is kept but hidden', async () => {
  let isGreen = true;
  await using server = await TestGitServer.open({ ...accepting, check: async () => (isGreen ? { isAccepted: true } : { isAccepted: false, reason: 'unit: 1 of 12 failed' }) });
  const work = await server.repository('shop');
  const first = await work.commit({ 'a.txt': 'one' });
  await work.git('push', '--quiet', 'origin', 'main');
  isGreen = false;
  const second = await work.commit({ 'a.txt': 'two' });
  const push = await work.tryGit('push', 'origin', 'main');
  assert.equal(push.code, 1);
  assert.match(push.stderr, /! \[remote rejected\] main -> main \(unit: 1 of 12 failed\)/);
  assert.equal(await work.git('ls-remote', 'origin'), `${first}\tHEAD\n${first}\trefs/heads/main`);
  const repository = await server.root.get({ namespace: 'default', name: 'shop' });
  assert.deepEqual(await repository.refs('refs/gantry/', testSignal()), [{ ref: `refs/gantry/candidates/${second}`, commit: second }]);
});

test('git push of several refs moves what needs no gate even if the protected branch is refused', async () => {
  await using server = await TestGitServer.open(refusing('no test ran'));
  const work = await server.repository('shop');
  const commit = await work.commit({ 'a.txt': 'one' });
  await work.git('tag', 'v1');
  const push = await work.tryGit('push', 'origin', 'main', 'main:refs/heads/feature/x', 'v1');
  assert.match(push.stderr, /\[remote rejected\] main -> main \(no test ran\)/);
  assert.match(push.stderr, /\[new branch\] +main -> feature\/x/);
  assert.match(push.stderr, /\[new tag\] +v1 -> v1/);
  assert.equal(await work.git('ls-remote', 'origin'), `${commit}\trefs/heads/feature/x\n${commit}\trefs/tags/v1`);
});

test('git push --atomic moves all refs or none', async () => {
  await using server = await TestGitServer.open(refusing('unit: 2 of 3 failed'));
  const work = await server.repository('shop');
  await work.commit({ 'a.txt': 'one' });
  const push = await work.tryGit('push', '--atomic', 'origin', 'main', 'main:refs/heads/feature');
  assert.match(push.stderr, /main -> main \(unit: 2 of 3 failed\)/);
  assert.match(push.stderr, /main -> feature \(another ref of this atomic push was refused\)/);
  assert.equal(await work.git('ls-remote', 'origin'), '');
});

test('git push cannot delete or rewrite a protected branch, but can do both to others', async () => {
  await using server = await TestGitServer.open(accepting, { protectedBranches: ['main', 'release/*'] });
  const work = await server.repository('shop');
  await work.commit({ 'a.txt': 'one' });
  await work.git('push', '--quiet', 'origin', 'main', 'main:feature', 'main:release/1', 'main:release-2/1/fix');
  await work.git('commit', '--quiet', '--amend', '--message', 'another');
  const cases: [args: string[], expected: RegExp][] = [
    [['--force', 'origin', 'main'], /a protected branch only moves forward: no force-push/],
    [['origin', ':release/1'], /a protected branch cannot be deleted/],
    [['origin', ':main'], /the default branch cannot be deleted/],
    [['--force', 'origin', 'main:feature'], /\(forced update\)/],
    [['origin', ':feature'], /\[deleted\] +feature/],
    [['origin', ':release-2/1/fix'], /\[deleted\] +release-2\/1\/fix/],
    [['origin', 'main~0:refs/heads/main/x'], /main\/x \(the name collides with another ref\)/],
  ];
  for (const [args, expected] of cases) assert.match((await work.tryGit('push', ...args)).stderr, expected, args.join(' '));
});

test('git push refuses refs that are neither branches nor tags, and names that could be taken for options', async () => {
  await using server = await TestGitServer.open(accepting);
  const work = await server.repository('shop');
  const commit = await work.commit({ 'a.txt': 'one' });
  const cases: [ref: string, expected: RegExp][] = [
    ['refs/heads/-h', /invalid ref name: a component begins with a dot or a dash/],
    ['refs/gantry/candidates/x', /deny updating a hidden ref/],
    ['refs/notes/x', /only branches \(refs\/heads\/\) and tags/],
    ['refs/pull/1/head', /only branches \(refs\/heads\/\) and tags/],
  ];
  for (const [ref, expected] of cases) assert.match((await work.tryGit('push', 'origin', `${commit}:${ref}`)).stderr, expected, ref);
  assert.equal(await work.git('ls-remote', 'origin'), '');
});

test('two pushes racing for a branch: the one that is decided last is refused, and the branch holds the other', async () => {
  const arrived: string[] = [];
  const release = Promise.withResolvers<void>();
  await using server = await TestGitServer.open({
    ...accepting,
    check: async ({ after }) => {
      arrived.push(after ?? '');
      if (arrived.length === 1) await release.promise;
      return { isAccepted: true };
    },
  });
  const [one, two] = [await server.repository('shop'), await server.repository('shop')];
  const slow = await one.commit({ 'a.txt': 'slow' });
  const fast = await two.commit({ 'a.txt': 'fast' });
  const slowPush = one.tryGit('push', 'origin', 'main');
  await pollUntil('the first push at the gate', () => arrived[0] === slow || undefined, { timeoutMs: 30_000 }, testSignal());
  const fastPush = await two.tryGit('push', 'origin', 'main');
  release.resolve();
  const { code, stderr } = await slowPush;
  assert.equal(fastPush.code, 0, fastPush.stderr);
  assert.equal(code, 1);
  assert.match(stderr, /main -> main \(it moved in the meantime; fetch and push again\)/);
  assert.equal(await one.git('ls-remote', 'origin', 'main'), `${fast}\trefs/heads/main`);
});

test('a pusher that goes away ends the gate, and the branch does not move', async () => {
  const at = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  await using server = await TestGitServer.open({
    ...accepting,
    check: async (_update, _write, signal) => {
      at.resolve();
      await aborted(signal);
      ended.resolve();
      return { isAccepted: true };
    },
  });
  const work = await server.repository('shop');
  await work.commit({ 'a.txt': 'one' });
  const client = spawn('git', ['push', 'origin', 'main'], { cwd: work.folder, env: work.environment(), stdio: 'ignore', detached: true });
  const exit = once(client, 'exit');
  await at.promise;
  process.kill(-(client.pid ?? 0), 'SIGINT');
  await exit;
  await ended.promise;
  assert.equal(await work.git('ls-remote', 'origin'), '');
  const repository = await server.root.get({ namespace: 'default', name: 'shop' });
  assert.deepEqual(await repository.refs('refs/heads/', testSignal()), []);
});

test('a server that stops refuses pushes that are being decided, with a reason', async () => {
  const at = Promise.withResolvers<void>();
  await using server = await TestGitServer.open({
    ...accepting,
    check: async (_update, _write, signal) => {
      at.resolve();
      await aborted(signal);
      throw signal.reason;
    },
  });
  const work = await server.repository('shop');
  await work.commit({ 'a.txt': 'one' });
  const push = work.tryGit('push', 'origin', 'main');
  await at.promise;
  await server.pushes[Symbol.asyncDispose]();
  assert.match((await push).stderr, /\[remote rejected\] main -> main \(the server is stopping; push again\)/);
});

test('a gate that fails refuses the push; work that fails after the ref has moved does not', async () => {
  let isBroken = true;
  await using server = await TestGitServer.open({
    check: async () => {
      if (isBroken) throw new GantryError('unavailable', 'the API server does not answer');
      return { isAccepted: true };
    },
    accepted: async () => {
      throw new GantryError('unavailable', 'no rollout today');
    },
  });
  const work = await server.repository('shop');
  const commit = await work.commit({ 'a.txt': 'one' });
  assert.match((await work.tryGit('push', 'origin', 'main')).stderr, /main -> main \(the API server does not answer\)/);
  isBroken = false;
  const push = await work.tryGit('push', 'origin', 'main');
  assert.equal(push.code, 0);
  assert.match(push.stderr, /remote: refs\/heads\/main has moved, but what follows failed: no rollout today/);
  assert.equal(await work.git('ls-remote', 'origin', 'main'), `${commit}\trefs/heads/main`);
});

test('a hook with an unknown token is turned away', async () => {
  await using server = await TestGitServer.open(accepting);
  const work = await server.repository('shop');
  await work.commit({ 'a.txt': 'one' });
  // A push that bypasses the HTTP front: the hook has no token, so nothing may move.
  const repository = await server.root.get({ namespace: 'default', name: 'shop' });
  const push = await work.tryGit('-c', 'protocol.file.allow=always', 'push', `--receive-pack=env GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=${server.folder}/hooks GIT_CONFIG_KEY_1=receive.procReceiveRefs GIT_CONFIG_VALUE_1=refs GANTRY_HOOK_SOCKET=${server.folder}/hook.sock GANTRY_HOOK_TOKEN=guess git-receive-pack`, repository.folder, 'main');
  assert.match(push.stderr, /the server stopped before the push was decided/);
  assert.deepEqual(await repository.refs('refs/heads/', testSignal()), []);
});
