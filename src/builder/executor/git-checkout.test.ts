import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { baseEnv, isError, pollUntil, runCommand } from '../../kernel/mod.ts';
import { type GitSource, parseGitSource } from '../plan/git-source.ts';
import { checkOutGitSource, resolveGitSource } from './git-checkout.ts';

const limit = (): AbortSignal => AbortSignal.timeout(60_000);
const environment = { certificateBundle: undefined, proxyVariables: {} };

interface Served extends AsyncDisposable {
  readonly folder: string;
  /** `git://…/repo` */
  readonly url: string;
  git(...args: string[]): Promise<string>;
}

/** A repository with two commits, served by git's own daemon on the loopback address. */
async function serveRepository(): Promise<Served> {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-git-source-'));
  const repository = join(folder, 'repo');
  mkdirSync(join(repository, 'docs'), { recursive: true });
  const env = { ...baseEnv(), HOME: folder, GIT_CONFIG_NOSYSTEM: '1', GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@example.test', GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a@example.test' };
  const git = async (...args: string[]): Promise<string> => (await runCommand('git', args, { cwd: repository, env }, limit())).stdout.trim();
  await git('init', '--quiet', '--initial-branch=main');
  writeFileSync(join(repository, 'file'), 'one');
  writeFileSync(join(repository, 'docs/page'), 'page');
  symlinkSync('file', join(repository, 'link'));
  await git('add', '-A');
  await git('commit', '--quiet', '-m', 'one');
  await git('tag', '-a', 'v1', '-m', 'v1');
  writeFileSync(join(repository, 'file'), 'two');
  await git('commit', '--quiet', '-a', '-m', 'two');
  const port = await freePort();
  const daemon = spawn('git', ['daemon', '--listen=127.0.0.1', `--port=${port}`, `--base-path=${folder}`, '--export-all', '--reuseaddr', '--log-destination=none'], { env, stdio: 'ignore', detached: true });
  await pollUntil('the git daemon to listen', () => canConnect(port), { timeoutMs: 30_000, intervalMs: 20 }, limit());
  return {
    folder,
    url: `git://127.0.0.1:${port}/repo`,
    git,
    [Symbol.asyncDispose]: async () => {
      await end(daemon);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** git daemon is two processes: the group is ended. */
async function end(daemon: ChildProcess): Promise<void> {
  const ended = once(daemon, 'exit');
  if (daemon.pid !== undefined) process.kill(-daemon.pid, 'SIGKILL');
  await ended;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function canConnect(port: number): Promise<true | undefined> {
  const socket = connect(port, '127.0.0.1');
  const isOpen = await new Promise<boolean>((resolve) => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)));
  socket.destroy();
  return isOpen ? true : undefined;
}

function sourceOf(text: string): GitSource {
  const source = parseGitSource(text);
  assert.ok(source !== undefined && !('message' in source), JSON.stringify(source));
  return source;
}

test('resolveGitSource() finds branches, tags and commits, and checks the commit', async () => {
  await using served = await serveRepository();
  const [first, second] = [await served.git('rev-parse', 'v1^{commit}'), await served.git('rev-parse', 'main')];
  const resolve = async (suffix: string): Promise<string> => resolveGitSource(sourceOf(served.url + suffix), environment, limit());
  assert.deepEqual([await resolve(''), await resolve('#main'), await resolve('#v1'), await resolve('?tag=v1'), await resolve('?branch=main'), await resolve(`#${first}`)], [second, second, first, first, second, first]);
  assert.equal(await resolve(`?branch=main&commit=${second.slice(0, 12)}`), second);
  await assert.rejects(resolve(`?branch=main&commit=${first}`), (error) => isError(error, 'invalid'));
  await assert.rejects(resolve('#nothing'), (error) => isError(error, 'not-found'));
});

test('checkOutGitSource() takes exactly the commit, without .git unless asked', async () => {
  await using served = await serveRepository();
  const first = await served.git('rev-parse', 'v1^{commit}');
  const [plain, kept] = [join(served.folder, 'plain'), join(served.folder, 'kept')];
  await checkOutGitSource(sourceOf(`${served.url}#v1`), first, plain, environment, limit());
  assert.deepEqual(readdirSync(plain).toSorted(), ['docs', 'file', 'link']);
  assert.equal(readFileSync(join(plain, 'file'), 'utf8'), 'one');
  await checkOutGitSource(sourceOf(`${served.url}?keep-git-dir=true`), first, kept, environment, limit());
  assert.ok(existsSync(join(kept, '.git/HEAD')));
});

test('checkOutGitSource() speaks only protocols of the network, whatever submodules say, and reads nobody else’s configuration', async () => {
  await using served = await serveRepository();
  await served.git('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', `file://${join(served.folder, 'repo')}`, 'sub');
  await served.git('commit', '--quiet', '-m', 'a submodule of the machine');
  const commit = await served.git('rev-parse', 'main');
  await assert.rejects(checkOutGitSource(sourceOf(served.url), commit, join(served.folder, 'a'), environment, limit()), /transport 'file' not allowed/);
  await checkOutGitSource(sourceOf(`${served.url}?submodules=false`), commit, join(served.folder, 'b'), environment, limit());
  assert.deepEqual(readdirSync(join(served.folder, 'b/sub')), []);
});
