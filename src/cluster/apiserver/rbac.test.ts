import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pollUntil } from '../../kernel/mod.ts';
import { TokenAuthenticator } from './access/authenticators.ts';
import { missingGrants, ruleAllows } from './access/rbac/rules.ts';
import { authenticated, systemMasters } from './access/user.ts';
import { type Answer, type ApiCaller, apiCaller, at } from './testing/api-caller.ts';
import { openTestApiServer, type TestApiServer, testToken } from './testing/test-api-server.ts';

const rbac = '/apis/rbac.authorization.k8s.io/v1';
const pods = '/api/v1/namespaces/default/pods';

const users = [
  { token: testToken, user: authenticated('admin', '', [systemMasters]) },
  { token: 'alice', user: authenticated('alice', '', ['devs']) },
  { token: 'n1', user: authenticated('system:node:n1', '', ['system:nodes']) },
];

type As = (token: string) => ApiCaller;

function check(title: string, run: (call: ApiCaller, as: As, server: TestApiServer) => Promise<void>): void {
  test(`RBAC ${title}`, async () => {
    await using server = await openTestApiServer({ authenticators: [new TokenAuthenticator(users)] });
    const as: As = (token) => (method, path, body, headers) => apiCaller(server)(method, path, body, { authorization: `Bearer ${token}`, ...headers });
    await run(apiCaller(server), as, server);
  });
}

const role = (name: string, rules: object[]): object => ({ metadata: { name }, rules });
const binding = (name: string, roleRef: object, subjects: object[]): object => ({ metadata: { name }, roleRef, subjects });
const code = async (answer: Promise<Answer>): Promise<number> => (await answer).code;

check('gives by roles in a namespace and by cluster roles everywhere', async (call, as) => {
  const alice = as('alice');
  assert.equal(await code(alice('GET', pods)), 403);
  await call('POST', `${rbac}/namespaces/default/roles`, role('readers', [{ apiGroups: [''], resources: ['pods', 'pods/log'], verbs: ['get', 'list'] }]));
  await call('POST', `${rbac}/namespaces/default/rolebindings`, binding('devs', { kind: 'Role', name: 'readers' }, [{ kind: 'Group', name: 'devs' }]));
  assert.equal(await code(alice('GET', pods)), 200);
  assert.equal(await code(alice('GET', '/api/v1/namespaces/kube-system/pods')), 403);
  assert.equal(await code(alice('GET', '/api/v1/pods')), 403);
  assert.equal(await code(alice('POST', pods, { metadata: { name: 'a' }, spec: { containers: [{ name: 'c', image: 'x' }] } })), 403);
  await call('POST', `${rbac}/clusterrolebindings`, binding('alice-view', { kind: 'ClusterRole', name: 'view' }, [{ kind: 'User', name: 'alice' }]));
  assert.equal(await code(alice('GET', '/api/v1/pods')), 200);
  assert.equal(await code(alice('GET', '/api/v1/secrets')), 403, 'view shows no secrets');
  await call('DELETE', `${rbac}/clusterrolebindings/alice-view`);
  assert.equal(await code(alice('GET', '/api/v1/pods')), 403);
  const review = await alice('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { spec: { resourceAttributes: { verb: 'list', resource: 'pods', namespace: 'default' } } });
  assert.deepEqual(review.body['status'], { allowed: true, reason: 'RBAC: allowed by RoleBinding "devs/default" of Role "readers"' });
});

check('aggregates roles by their labels', async (call) => {
  const rulesOf = async (name: string): Promise<object[]> => (await call('GET', `${rbac}/clusterroles/${name}`)).body['rules'] as object[];
  assert.ok((await rulesOf('admin')).length > (await rulesOf('view')).length);
  await call('POST', `${rbac}/clusterroles`, { metadata: { name: 'widgets', labels: { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' } }, rules: [{ apiGroups: ['example.com'], resources: ['widgets'], verbs: ['get'] }] });
  const has = async (name: string): Promise<true | undefined> => ((await rulesOf(name)).some((rule) => JSON.stringify(rule).includes('widgets')) ? true : undefined);
  for (const name of ['view', 'edit', 'admin']) await pollUntil(`${name} to have it`, () => has(name), { timeoutMs: 30_000 }, AbortSignal.timeout(30_000));
});

check('lets nobody give what they do not have', async (call, as) => {
  const alice = as('alice');
  await call('POST', `${rbac}/clusterrolebindings`, binding('alice-admin', { kind: 'ClusterRole', name: 'admin' }, [{ kind: 'User', name: 'alice' }]));
  const wide = await alice('POST', `${rbac}/namespaces/default/roles`, role('wide', [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }]));
  assert.equal(wide.code, 403);
  assert.match(String(wide.body['message']), /is attempting to grant RBAC permissions not currently held:\n\{APIGroups:\["\*"\], Resources:\["\*"\], Verbs:\["\*"\]\}/);
  assert.equal(await code(alice('POST', `${rbac}/namespaces/default/roles`, role('narrow', [{ apiGroups: ['apps'], resources: ['deployments'], verbs: ['get', 'patch'] }]))), 201);
  const bind = (name: string): Promise<number> => code(alice('POST', `${rbac}/namespaces/default/rolebindings`, binding(`b-${name}`, { kind: 'ClusterRole', name }, [{ kind: 'User', name: 'bob' }])));
  assert.deepEqual([await bind('edit'), await bind('cluster-admin')], [201, 403]);
  const changed = await call('PATCH', `${rbac}/namespaces/default/rolebindings/b-edit`, { roleRef: { name: 'view' } }, { 'content-type': 'application/merge-patch+json' });
  assert.match(String(changed.body['message']), /cannot change roleRef/);
});

check('lets those impersonate who may', async (call, as) => {
  const whoami = async (caller: ApiCaller, headers: Record<string, string>): Promise<unknown> => {
    const { body } = await caller('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {}, headers);
    return at(body, 'status.userInfo') ?? body['reason'];
  };
  assert.deepEqual(await whoami(call, { 'impersonate-user': 'bob', 'impersonate-group': 'ops' }), { username: 'bob', groups: ['ops', 'system:authenticated'] });
  assert.deepEqual(await whoami(call, { 'impersonate-user': 'system:serviceaccount:a:b' }), { username: 'system:serviceaccount:a:b', groups: ['system:serviceaccounts', 'system:serviceaccounts:a', 'system:authenticated'] });
  assert.equal(await whoami(as('alice'), { 'impersonate-user': 'admin', 'impersonate-group': 'system:masters' }), 'Forbidden');
});

check('lets a node change only what is its own', async (call, as) => {
  const node = as('n1');
  for (const name of ['n1', 'n2']) await call('POST', '/api/v1/nodes', { metadata: { name } });
  const uids: unknown[] = [];
  for (const [name, nodeName] of [['mine', 'n1'], ['other', 'n2']] as const) {
    const { body } = await call('POST', pods, { metadata: { name }, spec: { nodeName, serviceAccountName: name, containers: [{ name: 'c', image: 'x' }] } });
    uids.push(at(body, 'metadata.uid'));
  }
  const tokenFor = (name: string, uid: unknown): object => ({ spec: { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name, uid } } });
  for (const name of ['mine', 'other']) await call('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name } });
  const patch = { 'content-type': 'application/merge-patch+json' };
  const table: [method: string, path: string, body: unknown, code: number][] = [
    ['GET', '/api/v1/pods', undefined, 200],
    ['GET', '/api/v1/secrets', undefined, 200],
    ['GET', '/apis/apps/v1/deployments', undefined, 403],
    ['PATCH', '/api/v1/nodes/n1/status', { status: { phase: 'x' } }, 200],
    ['PATCH', '/api/v1/nodes/n2/status', { status: { phase: 'x' } }, 403],
    ['PATCH', `${pods}/mine/status`, { status: { phase: 'Running' } }, 200],
    ['PATCH', `${pods}/other/status`, { status: { phase: 'Running' } }, 403],
    ['POST', pods, { metadata: { name: 'x' } }, 403],
    ['DELETE', `${pods}/other`, undefined, 403],
    ['POST', '/api/v1/namespaces/default/secrets', { metadata: { name: 'x' } }, 403],
    ['POST', '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases', { metadata: { name: 'n1' }, spec: {} }, 201],
    ['POST', '/apis/coordination.k8s.io/v1/namespaces/default/leases', { metadata: { name: 'n1' }, spec: {} }, 403],
    ['POST', '/api/v1/namespaces/default/serviceaccounts/mine/token', tokenFor('mine', uids[0]), 201],
    ['POST', '/api/v1/namespaces/default/serviceaccounts/mine/token', { spec: {} }, 403],
    ['POST', '/api/v1/namespaces/default/serviceaccounts/other/token', tokenFor('other', uids[1]), 403],
    ['POST', '/api/v1/namespaces/default/events', { metadata: { name: 'e' }, involvedObject: { namespace: 'default' } }, 201],
    ['POST', `${rbac}/clusterrolebindings`, binding('x', { kind: 'ClusterRole', name: 'cluster-admin' }, []), 403],
    ['DELETE', `${pods}/mine?gracePeriodSeconds=0`, undefined, 200],
  ];
  for (const [method, path, body, expected] of table) assert.equal(await code(node(method, path, body, method === 'PATCH' ? patch : {})), expected, `${method} ${path}`);
});

check('knows service accounts by their tokens, for as long as what they are bound to', async (call, as) => {
  const accounts = '/api/v1/namespaces/default/serviceaccounts';
  await call('POST', accounts, { metadata: { name: 'robot' } });
  const pod = await call('POST', pods, { metadata: { name: 'p' }, spec: { serviceAccountName: 'robot', containers: [{ name: 'c', image: 'x' }] } });
  await call('POST', `${rbac}/namespaces/default/rolebindings`, binding('robot', { kind: 'ClusterRole', name: 'view' }, [{ kind: 'ServiceAccount', name: 'robot', namespace: 'default' }]));
  const tokenOf = async (spec: object): Promise<string> => String(at((await call('POST', `${accounts}/robot/token`, { spec })).body, 'status.token'));
  const [free, bound, foreign] = [await tokenOf({}), await tokenOf({ boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'p', uid: at(pod.body, 'metadata.uid') } }), await tokenOf({ audiences: ['vault'] })];
  assert.deepEqual([await code(as(free)('GET', pods)), await code(as(bound)('GET', pods)), await code(as(foreign)('GET', pods))], [200, 200, 401]);
  assert.equal(await code(as(free)('GET', '/api/v1/namespaces/kube-system/pods')), 403);
  const tampered = free.split('.').with(1, Buffer.from(JSON.stringify({ iss: 'https://kubernetes.default.svc.cluster.local', sub: 'system:serviceaccount:kube-system:admin' })).toString('base64url')).join('.');
  assert.equal(await code(as(tampered)('GET', pods)), 401);
  const review = async (token: string, audiences?: string[]): Promise<unknown> => (await call('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token, ...(audiences === undefined ? {} : { audiences }) } })).body['status'];
  assert.deepEqual(at(await review(foreign, ['vault']), 'user.username'), 'system:serviceaccount:default:robot');
  assert.deepEqual(at(await review(foreign), 'authenticated'), false);
  assert.deepEqual(at(await review('alice'), 'user.username'), 'alice');
  await call('DELETE', `${pods}/p`);
  assert.deepEqual([await code(as(bound)('GET', pods)), await code(as(free)('GET', pods))], [401, 200]);
  await call('DELETE', `${accounts}/robot`);
  assert.equal(await code(as(free)('GET', pods)), 401);
  const refused: [spec: object, expected: number][] = [[{ expirationSeconds: 5 }, 422], [{ boundObjectRef: { kind: 'Pod', name: 'gone' } }, 404], [{ boundObjectRef: { kind: 'Sandwich', name: 'x' } }, 400]];
  await call('POST', accounts, { metadata: { name: 'robot' } });
  for (const [spec, expected] of refused) assert.equal(await code(call('POST', `${accounts}/robot/token`, { spec })), expected, JSON.stringify(spec));
  const keys = (await call('GET', '/openid/v1/jwks')).body['keys'] as object[];
  assert.deepEqual([keys.length, at(keys, '0.alg'), at(keys, '0.d')], [1, 'ES256', undefined]);
});

test('ruleAllows() and missingGrants() compare rules', () => {
  const request = (more: object): Parameters<typeof ruleAllows>[1] => ({ isResource: true, verb: 'get', group: '', version: 'v1', namespace: 'a', plural: 'pods', subresource: '', name: '', path: '', ...more });
  const rule = (more: object): Parameters<typeof ruleAllows>[0] => ({ verbs: ['get'], apiGroups: [''], resources: ['pods'], ...more });
  const table: [rule: object, request: object, isAllowed: boolean][] = [
    [{}, {}, true],
    [{}, { verb: 'list' }, false],
    [{ verbs: ['*'] }, { verb: 'list' }, true],
    [{}, { group: 'apps' }, false],
    [{}, { subresource: 'log' }, false],
    [{ resources: ['pods/log'] }, { subresource: 'log' }, true],
    [{ resources: ['*/scale'] }, { subresource: 'scale', plural: 'x' }, true],
    [{ resources: ['*'] }, { subresource: 'exec' }, true],
    [{ resourceNames: ['a'] }, { name: 'a' }, true],
    [{ resourceNames: ['a'] }, { name: '' }, false],
    [{ nonResourceURLs: ['/metrics'] }, { isResource: false, path: '/metrics' }, true],
    [{ nonResourceURLs: ['/api/*'] }, { isResource: false, path: '/api/v1' }, true],
    [{}, { isResource: false, path: '/metrics' }, false],
  ];
  for (const [given, asked, isAllowed] of table) assert.equal(ruleAllows(rule(given), request(asked)), isAllowed, JSON.stringify({ given, asked }));
  assert.deepEqual(missingGrants([rule({ verbs: ['get', 'list'] })], [rule({ verbs: ['get', 'watch'], resources: ['pods', 'services'] })]), [
    { verbs: ['get'], apiGroups: [''], resources: ['services'] },
    { verbs: ['watch'], apiGroups: [''], resources: ['pods'] },
    { verbs: ['watch'], apiGroups: [''], resources: ['services'] },
  ]);
  assert.deepEqual(missingGrants([rule({ resourceNames: ['a'] })], [rule({ resourceNames: ['a'] })]), []);
  assert.equal(missingGrants([rule({ resourceNames: ['a'] })], [rule({})]).length, 1);
});
