import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pollUntil, systemClock } from '../../kernel/mod.ts';
import { TokenAuthenticator } from './access/authenticators.ts';
import { authenticated, systemMasters } from './access/user.ts';
import { apiCaller, at } from './testing/api-caller.ts';
import { openTestApiServer, testToken } from './testing/test-api-server.ts';

const maps = '/api/v1/namespaces/default/configmaps';
const users = [
  { token: testToken, user: authenticated('admin', '', [systemMasters]) },
  { token: 'greedy', user: authenticated('greedy', '', ['people']) },
  { token: 'modest', user: authenticated('modest', '', ['people']) },
];

test('one client’s requests do not keep another’s waiting, and too many are told when to come back', async () => {
  await using server = await openTestApiServer({ authenticators: [new TokenAuthenticator(users)], requestLimits: { seats: 2, queueLength: 20 } });
  const call = apiCaller(server);
  const rbac = '/apis/rbac.authorization.k8s.io/v1';
  await call('POST', `${rbac}/clusterrolebindings`, { metadata: { name: 'people' }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'edit' }, subjects: [{ kind: 'Group', name: 'people' }] });
  const as = async (token: string, name: string): Promise<number> => {
    const { code, headers } = await call('POST', maps, { metadata: { name } }, { authorization: `Bearer ${token}` });
    if (code === 429) assert.equal(headers.get('retry-after'), '1');
    return code;
  };
  const greedy = Array.from({ length: 60 }, (_, index) => as('greedy', `g-${index}`));
  const modest = as('modest', 'm');
  const codes = await Promise.all(greedy);
  assert.equal(await modest, 201);
  assert.ok(codes.every((code) => code === 201 || code === 429), codes.join(' '));
  const { text } = await call('GET', '/metrics');
  assert.match(text, /apiserver_flowcontrol_current_inqueue_requests\{priority_level="workload"\} 0\n/);
});

test('a bootstrap token is its user until it expires or its Secret goes', async () => {
  let nowMs = Date.now();
  await using server = await openTestApiServer({ clock: { ...systemClock, now: () => nowMs } });
  const call = apiCaller(server);
  const secrets = '/api/v1/namespaces/kube-system/secrets';
  const secret = (id: string, data: Record<string, string>): object => ({
    metadata: { name: `bootstrap-token-${id}` },
    type: 'bootstrap.kubernetes.io/token',
    stringData: { 'token-id': id, 'token-secret': '0123456789abcdef', 'usage-bootstrap-authentication': 'true', ...data },
  });
  const whoami = async (token: string): Promise<unknown> => at((await call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {}, { authorization: `Bearer ${token}` })).body, 'status.userInfo');
  await call('POST', secrets, secret('abcdef', { 'auth-extra-groups': 'system:bootstrappers:workers', expiration: new Date(nowMs + 60_000).toISOString() }));
  assert.deepEqual(await whoami('abcdef.0123456789abcdef'), { username: 'system:bootstrap:abcdef', groups: ['system:bootstrappers', 'system:bootstrappers:workers', 'system:authenticated'] });
  assert.equal(await whoami('abcdef.0123456789abcdeX'), undefined);
  assert.equal(await whoami('abcdef.0123456789abcdee'), undefined);
  nowMs += 61_000;
  assert.equal(await whoami('abcdef.0123456789abcdef'), undefined);
  await call('POST', secrets, secret('aaaaaa', { 'usage-bootstrap-authentication': 'false' }));
  await call('POST', secrets, secret('bbbbbb', { 'auth-extra-groups': 'system:masters' }));
  await call('POST', secrets, secret('cccccc', {}));
  for (const id of ['aaaaaa', 'bbbbbb']) assert.equal(await whoami(`${id}.0123456789abcdef`), undefined, id);
  assert.notEqual(await whoami('cccccc.0123456789abcdef'), undefined);
  await call('DELETE', `${secrets}/bootstrap-token-cccccc`);
  await pollUntil('the token to end', async () => ((await whoami('cccccc.0123456789abcdef')) === undefined ? true : undefined), { timeoutMs: 30_000 }, AbortSignal.timeout(30_000));
});
