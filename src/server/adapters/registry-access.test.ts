import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { gantryApiVersion, gantryDefinitions, type RegistryPolicySpec, type RegistryTokenSpec, resources } from '../../api/mod.ts';
import { Informers, type KubeClient, openKubeClient } from '../../client/mod.ts';
import { authenticated, systemMasters } from '../../cluster/apiserver/mod.ts';
import { openTestApiServer } from '../../cluster/apiserver/testing/test-api-server.ts';
import { pollUntil, silentLogger } from '../../kernel/mod.ts';
import { openTestRegistry } from '../../registry/testing/test-registry.ts';
import { applyDefinitions } from '../apply-definitions.ts';
import { RegistryAccess } from './registry-access.ts';

const signal = AbortSignal.timeout(120_000);

interface Fixture extends AsyncDisposable {
  readonly client: KubeClient;
  readonly access: RegistryAccess;
  /** The status of a request as the user; `GET manifests` of something that is not there is 404 for those who may. */
  ask(user: string | undefined, password: string, verb: 'pull' | 'push' | 'delete', repository?: string): Promise<number>;
  token(name: string, secret: string, spec: Partial<RegistryTokenSpec>): Promise<void>;
  policy(name: string, spec: RegistryPolicySpec): Promise<void>;
}

async function openFixture(): Promise<Fixture> {
  const parts = new AsyncDisposableStack();
  const server = parts.use(await openTestApiServer());
  const client = parts.use(openKubeClient({ ...server.connection, userAgent: 'test' }));
  await applyDefinitions(client, gantryDefinitions, signal);
  const informers = new Informers(client, silentLogger());
  const users = [
    { token: 'admin-token', user: authenticated('admin', '', [systemMasters]) },
    { token: 'dev-token', user: authenticated('dev', '', ['developers']) },
    { token: 'liar-token', user: authenticated('robot:deploy', '', [systemMasters]) },
  ];
  const access = new RegistryAccess({ informers, tokens: users, robots: { node: 'node-secret', ci: 'ci-secret' } });
  const registry = parts.use(await openTestRegistry({ authorizer: access, rulesOf: (repository) => access.rulesOf(repository) }));
  const stop = new AbortController();
  const running = informers.run(stop.signal);
  parts.defer(async () => {
    stop.abort();
    await running;
  });
  return {
    client,
    access,
    ask: async (user, password, verb, repository = 'team/app') => {
      const headers = user === undefined ? {} : { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
      const [method, path] = verb === 'push' ? ['POST', 'blobs/uploads/'] : [verb === 'pull' ? 'GET' : 'DELETE', 'manifests/x'];
      const response = await fetch(`${registry.url}/v2/${repository}/${path}`, { method, headers });
      await response.text();
      return response.status;
    },
    token: async (name, secret, spec) => {
      const secretHash = `sha256:${createHash('sha256').update(secret).digest('hex')}`;
      await client.create(resources.registryTokens, { apiVersion: gantryApiVersion, kind: 'RegistryToken', metadata: { name }, spec: { secretHash, repositories: ['team/*'], verbs: ['pull'], ...spec } }, signal);
    },
    policy: async (name, spec) => {
      await client.create(resources.registryPolicies, { apiVersion: gantryApiVersion, kind: 'RegistryPolicy', metadata: { name }, spec }, signal);
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

async function becomes(what: string, ask: () => Promise<number>, status: number): Promise<void> {
  await pollUntil(what, async () => ((await ask()) === status ? true : undefined), { timeoutMs: 30_000, intervalMs: 20 }, signal);
}

test('administrators do everything, the node and pipelines pull and push, others nothing', async () => {
  await using fixture = await openFixture();
  const cases: [user: string | undefined, password: string, statuses: [pull: number, push: number, remove: number]][] = [
    ['anything', 'admin-token', [404, 202, 404]],
    ['_node', 'node-secret', [404, 202, 403]],
    ['_ci', 'ci-secret', [404, 202, 403]],
    ['_node', 'ci-secret', [401, 401, 401]],
    ['dev', 'dev-token', [403, 403, 403]],
    ['robot:deploy', 'liar-token', [401, 401, 401]],
    ['admin', 'wrong', [401, 401, 401]],
    [undefined, '', [401, 401, 401]],
  ];
  for (const [user, password, statuses] of cases) {
    const found = [await fixture.ask(user, password, 'pull'), await fixture.ask(user, password, 'push'), await fixture.ask(user, password, 'delete')];
    assert.deepEqual(found, statuses, `${user} ${password}`);
  }
});

test('a robot has what its token says, until it ends or is revoked', async () => {
  await using fixture = await openFixture();
  await fixture.token('deploy', 's3cret', { verbs: ['pull', 'push'] });
  await becomes('the robot to be known', () => fixture.ask('deploy', 's3cret', 'push'), 202);
  assert.deepEqual([await fixture.ask('deploy', 's3cret', 'pull'), await fixture.ask('deploy', 's3cret', 'delete'), await fixture.ask('deploy', 's3cret', 'pull', 'other/app')], [404, 403, 403]);
  assert.deepEqual([await fixture.ask('deploy', 'other', 'pull'), await fixture.ask('another', 's3cret', 'pull')], [401, 401]);
  await fixture.token('late', 'late-secret', { expiresAt: new Date(Date.now() - 1000).toISOString() });
  await fixture.token('early', 'early-secret', { expiresAt: new Date(Date.now() + 3_600_000).toISOString() });
  await becomes('the other robots to be known', () => fixture.ask('early', 'early-secret', 'pull'), 404);
  assert.equal(await fixture.ask('late', 'late-secret', 'pull'), 401);
  await fixture.client.delete(resources.registryTokens, { name: 'deploy' }, {}, signal);
  await becomes('the robot to be out', () => fixture.ask('deploy', 's3cret', 'pull'), 401);
});

test('a robot named like an administrator is not one', async () => {
  await using fixture = await openFixture();
  await fixture.token('admin', 'robot-secret', { repositories: ['**'] });
  await becomes('the robot to be known', () => fixture.ask('admin', 'robot-secret', 'pull'), 404);
  assert.deepEqual([await fixture.ask('admin', 'robot-secret', 'push'), await fixture.ask('admin', 'admin-token', 'push')], [403, 202]);
});

test('policies open repositories to everybody or to some, and give them rules', async () => {
  await using fixture = await openFixture();
  await fixture.policy('public', { repositories: ['public/**'], anonymousPull: true });
  await fixture.policy('developers', { repositories: ['team/*'], grants: [{ groups: ['developers'], verbs: ['pull', 'push'] }] });
  await fixture.policy('releases', { repositories: ['team/**'], immutableTags: ['v*'], retention: { keepTags: 10, maxTagAgeDays: 2, keep: ['v*'] } });
  await becomes('the last policy to be known', async () => fixture.access.rulesOf('team/app').immutableTags.length, 1);
  assert.deepEqual(fixture.access.rulesOf('team/app'), { immutableTags: ['v*'], retention: [{ keepTags: 10, maxTagAgeMs: 2 * 86_400_000, keep: ['v*'] }] });
  assert.deepEqual(fixture.access.rulesOf('other'), { immutableTags: [], retention: [] });
  await becomes('anonymous pulls', () => fixture.ask(undefined, '', 'pull', 'public/a/b'), 404);
  assert.deepEqual([await fixture.ask(undefined, '', 'push', 'public/a/b'), await fixture.ask(undefined, '', 'pull', 'team/app')], [401, 401]);
  assert.deepEqual([await fixture.ask('dev', 'dev-token', 'pull'), await fixture.ask('dev', 'dev-token', 'push'), await fixture.ask('dev', 'dev-token', 'delete')], [404, 202, 403]);
  assert.equal(await fixture.ask('dev', 'dev-token', 'pull', 'team/a/b'), 403);
});

test('what is no policy or token is refused by the API', async () => {
  await using fixture = await openFixture();
  await assert.rejects(fixture.policy('empty', { repositories: [] }));
  await assert.rejects(fixture.policy('zero', { repositories: ['**'], retention: { keepTags: 0 } }));
  await assert.rejects(fixture.token('plain', 'x', { secretHash: 'plain-text' }));
  await assert.rejects(fixture.token('nothing', 'x', { verbs: [] }));
});
