import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gantryDefinitions, type Repository, resources, type Stored } from '../api/mod.ts';
import { Informers, type KubeClient, openKubeClient } from '../client/mod.ts';
import { openTestApiServer } from '../cluster/apiserver/testing/test-api-server.ts';
import { pollUntil, runCommand, runServices, silentLogger } from '../kernel/mod.ts';
import { GitHosting } from './git-hosting.ts';
import { planRepository, repositoryFinalizer } from './repository-controller.ts';
import { RepositoryRoot } from './repository-root.ts';

const limit = (): AbortSignal => AbortSignal.timeout(30_000);

function resource(change: { spec?: Repository['spec']; finalizers?: string[]; deletionTimestamp?: string }): Stored<Repository> {
  const { spec = {}, ...meta } = change;
  return { metadata: { name: 'shop', namespace: 'default', uid: 'u', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z', ...meta }, spec };
}

test('planRepository() makes the folder as the resource asks', () => {
  const folder = { headBranch: 'main', branches: [{ name: 'main', commit: 'a'.repeat(40) }] };
  const finalizers = [repositoryFinalizer];
  const cases: [name: string, observed: Parameters<typeof planRepository>[0], actions: string[], ready: string | undefined][] = [
    ['new', { resource: resource({}), folder: undefined }, ['add-finalizer', 'create'], 'True'],
    ['there', { resource: resource({ finalizers }), folder }, ['prune'], 'True'],
    ['another default branch', { resource: resource({ finalizers, spec: { defaultBranch: 'trunk' } }), folder }, ['set-head'], 'True'],
    ['a default branch that is none', { resource: resource({ finalizers, spec: { defaultBranch: '-h' } }), folder }, [], 'False'],
    ['deleted', { resource: resource({ finalizers, deletionTimestamp: '2026-01-01T00:00:00Z' }), folder }, ['remove'], undefined],
    ['deleted by others too', { resource: resource({ finalizers: ['x'], deletionTimestamp: '2026-01-01T00:00:00Z' }), folder }, [], undefined],
  ];
  for (const [name, observed, actions, ready] of cases) {
    const plan = planRepository(observed);
    assert.deepEqual(plan.actions.map(({ type }) => type), actions, name);
    assert.equal(plan.status?.conditions.find(({ type }) => type === 'Ready')?.status, ready, name);
  }
  assert.deepEqual(planRepository({ resource: resource({ finalizers }), folder }).status?.branches, folder.branches);
});

test('RepositoryRoot clears what a crash left, and removes by one rename', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-root-'));
  try {
    await mkdir(join(folder, '.removed-abc', 'objects'), { recursive: true });
    const root = await RepositoryRoot.open(folder, { hooksFolder: join(folder, 'hooks') });
    assert.deepEqual(await readdir(folder), []);
    const names = [{ namespace: 'default', name: 'shop' }, { namespace: 'team', name: 'shop' }];
    for (const name of names) await root.create(name, 'main', limit());
    await mkdir(join(folder, 'Upper.git', 'objects'), { recursive: true });
    await writeFile(join(folder, 'Upper.git', 'HEAD'), 'ref: refs/heads/main\n');
    await mkdir(join(folder, 'empty.git'));
    assert.deepEqual(await root.list(), { repositories: names, unusable: [join(folder, 'Upper.git')] });
    const [stale, fresh] = [join(folder, 'shop.git', 'refs', 'heads', 'a.lock'), join(folder, 'shop.git', 'packed-refs.lock')];
    for (const lock of [stale, fresh]) await writeFile(lock, '');
    await utimes(stale, new Date(0), new Date(0));
    await RepositoryRoot.open(folder, { hooksFolder: join(folder, 'hooks') });
    assert.deepEqual([await stat(stale).catch(() => undefined), (await stat(fresh)).size], [undefined, 0]);
    await root.remove({ namespace: 'team', name: 'shop' });
    await root.remove({ namespace: 'team', name: 'shop' });
    assert.deepEqual(await readdir(join(folder, 'team')), []);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

/** Git hosting beside a real API server. */
async function withHosting(folder: string, body: (client: KubeClient, hosting: GitHosting) => Promise<void>): Promise<void> {
  const log = silentLogger();
  await using stack = new AsyncDisposableStack();
  const api = stack.use(await openTestApiServer());
  const client = stack.use(openKubeClient(api.connection));
  for (const definition of gantryDefinitions) await client.create(resources.customResourceDefinitions, definition, limit());
  await pollUntil('the kind', () => client.list(resources.repositories, {}, limit()).catch(() => undefined), { timeoutMs: 30_000 }, limit());
  const informers = new Informers(client, log);
  const hosting = stack.use(await GitHosting.open({ rootFolder: join(folder, 'root'), hooksFolder: join(folder, 'hooks'), socketPath: join(folder, 'hook.sock'), client, informers, gate: { check: async () => ({ isAccepted: true }), accepted: async () => undefined }, authenticator: { authenticate: async () => 'alice' }, log }));
  const stopped = new AbortController();
  const running = runServices([[informers], [hosting]], log, stopped.signal);
  try {
    await body(client, hosting);
  } finally {
    stopped.abort();
    await running;
  }
}

async function ready(client: KubeClient, name: string): Promise<Stored<Repository>> {
  return pollUntil(`${name} to be ready`, async () => {
    const found = await client.get(resources.repositories, { namespace: 'default', name }, limit()).catch(() => undefined);
    return found?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true ? found : undefined;
  }, { timeoutMs: 20_000 }, limit());
}

test('GitHosting adopts bare repositories of its folder, and removes a folder with its resource', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-adopt-'));
  try {
    const old = join(folder, 'root', 'old.git');
    await mkdir(join(folder, 'root'), { recursive: true });
    await runCommand('git', ['init', '--quiet', '--bare', '--initial-branch=trunk', old], {}, limit());
    const tree = (await runCommand('git', [`--git-dir=${old}`, 'hash-object', '-t', 'tree', '-w', '--stdin'], { stdin: '' }, limit())).stdout.trim();
    const identity = ['-c', 'user.name=A', '-c', 'user.email=a@example.com'];
    const commit = (await runCommand('git', [`--git-dir=${old}`, ...identity, 'commit-tree', '-m', 'x', tree], {}, limit())).stdout.trim();
    await runCommand('git', [`--git-dir=${old}`, 'update-ref', 'refs/heads/trunk', commit], {}, limit());
    await withHosting(folder, async (client, hosting) => {
      const adopted = await ready(client, 'old');
      assert.deepEqual([adopted.spec?.defaultBranch, adopted.status?.branches], ['trunk', [{ name: 'trunk', commit }]]);
      await client.create(resources.repositories, { metadata: { namespace: 'default', name: 'new' }, spec: { defaultBranch: 'main' } }, limit());
      await ready(client, 'new');
      assert.equal(await (await hosting.root.get({ namespace: 'default', name: 'new' })).headBranch(limit()), 'main');
      await client.delete(resources.repositories, { namespace: 'default', name: 'old' }, {}, limit());
      await pollUntil('the folder to go', async () => ((await stat(old).catch(() => undefined)) === undefined ? true : undefined), { timeoutMs: 30_000 }, limit());
      await pollUntil('the resource to go', async () => ((await client.list(resources.repositories, {}, limit())).items.length === 1 ? true : undefined), { timeoutMs: 30_000 }, limit());
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
