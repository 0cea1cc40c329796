import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TokenAuthenticator } from './access/authenticators.ts';
import { authenticated, systemMasters } from './access/user.ts';
import { type ApiCaller, apiCaller, at, patchHeaders } from './testing/api-caller.ts';
import { openTestApiServer, type TestApiServer, testToken } from './testing/test-api-server.ts';
import { readWatch } from './testing/watch-reader.ts';

const maps = '/api/v1/namespaces/default/configmaps';
const deployments = '/apis/apps/v1/namespaces/default/deployments';
const pods = '/api/v1/namespaces/default/pods';
const tableOf = (version: string): Record<string, string> => ({ accept: `application/json;as=Table;v=${version};g=meta.k8s.io` });

function check(title: string, run: (call: ApiCaller, server: TestApiServer) => Promise<void>): void {
  test(`the API ${title}`, async () => {
    await using server = await openTestApiServer();
    await run(apiCaller(server), server);
  });
}

const names = (body: Record<string, unknown>): unknown[] => (body['items'] as unknown[]).map((item) => at(item, 'metadata.name'));

check('notices keys that a body has twice', async (call) => {
  const text = '{"metadata":{"name":"a"},"data":{"x":"1","x":"2"}}';
  const json = { 'content-type': 'application/json' };
  const strict = await call('POST', `${maps}?fieldValidation=Strict`, text, json);
  assert.deepEqual([strict.code, strict.body['message']], [400, 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: duplicate field "data.x"']);
  const warned = await call('POST', maps, text, json);
  assert.deepEqual([warned.code, warned.headers.get('warning'), at(warned.body, 'data.x')], [201, String.raw`299 - "duplicate field \"data.x\""`, '2']);
  const ignored = await call('PATCH', `${maps}/a?fieldValidation=Ignore`, '{"data":{"y":"1","y":"2"}}', patchHeaders.merge);
  assert.deepEqual([ignored.code, ignored.headers.get('warning')], [200, null]);
  assert.equal((await call('PATCH', `${maps}/a?fieldValidation=Strict`, '{"data":{"y":"1","y":"2"}}', patchHeaders.merge)).code, 400);
});

check('refuses wrong parameters with the kind of options they belong to', async (call) => {
  await call('POST', maps, { metadata: { name: 'a' } });
  const table: [method: string, path: string, message: string][] = [
    ['POST', `${maps}?dryRun=Some`, 'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: "Some": supported values: "All"'],
    ['PUT', `${maps}/a?fieldValidation=Loose`, 'UpdateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Loose": supported values: "", "Ignore", "Strict", "Warn"'],
    ['PATCH', `${maps}/a?fieldManager=a%00b`, String.raw`PatchOptions.meta.k8s.io "" is invalid: fieldManager: Invalid value: "a\u0000b": should only contain printable characters`],
    ['POST', `${maps}?fieldManager=${'x'.repeat(129)}`, 'CreateOptions.meta.k8s.io "" is invalid: fieldManager: Too long: may not be more than 128 bytes'],
    ['DELETE', `${maps}/a?dryRun=x`, 'DeleteOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: "x": supported values: "All"'],
    ['GET', `${maps}?resourceVersionMatch=Exact`, 'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided'],
    ['GET', `${maps}?resourceVersionMatch=Exact&resourceVersion=0`, 'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'],
    ['GET', `${maps}?resourceVersionMatch=Newer&resourceVersion=1`, 'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Unsupported value: "Newer": supported values: "", "Exact", "NotOlderThan"'],
    ['GET', `${maps}?sendInitialEvents=true`, 'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list'],
    ['GET', `${maps}?watch=true&resourceVersionMatch=NotOlderThan`, 'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided'],
  ];
  for (const [method, path, message] of table) {
    const answer = await call(method, path, method === 'GET' || method === 'DELETE' ? undefined : { metadata: { name: 'a' } }, method === 'PATCH' ? patchHeaders.merge : {});
    assert.deepEqual([answer.code, answer.body['reason'], answer.body['message']], [422, 'Invalid', message], path);
  }
});

check('does nothing in a dry run of any verb', async (call, server) => {
  await call('POST', deployments, { metadata: { name: 'd', labels: { a: 'b' } }, spec: { replicas: 1, selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } } } });
  await call('POST', pods, { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i' }] } });
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'n' } });
  const before = server.store.revision;
  const dry = (path: string): string => `${path}${path.includes('?') ? '&' : '?'}dryRun=All`;
  const steps: [method: string, path: string, body: unknown, headers?: Record<string, string>][] = [
    ['POST', maps, { metadata: { generateName: 'x-' } }],
    ['PUT', `${deployments}/d/scale`, { metadata: { name: 'd' }, spec: { replicas: 3 } }],
    ['PATCH', `${deployments}/d/scale`, { spec: { replicas: 3 } }, patchHeaders.merge],
    ['PATCH', `${deployments}/d`, { spec: { replicas: 3 } }, patchHeaders.strategic],
    ['PATCH', `${deployments}/d?fieldManager=m&force=true`, 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, labels: {x: y}}', patchHeaders.apply],
    ['PATCH', `${maps}/new?fieldManager=m`, 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}', patchHeaders.apply],
    ['PATCH', `${deployments}/d/status`, { status: { replicas: 3 } }, patchHeaders.merge],
    ['POST', `${pods}/p/binding`, { target: { name: 'n1' } }],
    ['POST', `${pods}/p/eviction`, { metadata: { name: 'p' } }],
    ['POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 's' } }],
    ['PUT', '/api/v1/namespaces/n/finalize', { metadata: { name: 'n' }, spec: { finalizers: [] } }],
    ['DELETE', `${deployments}/d?propagationPolicy=Foreground`, undefined],
    ['DELETE', `${pods}?labelSelector=`, undefined],
    ['DELETE', '/api/v1/namespaces/n', undefined],
  ];
  for (const [method, path, body, headers] of steps) {
    const answer = await call(method, dry(path), body, headers ?? {});
    assert.ok(answer.code >= 200 && answer.code < 300, `${method} ${path}: ${answer.code} ${answer.text}`);
    assert.equal(server.store.revision, before, `${method} ${path} wrote`);
  }
});

check('goes on with a list whose history is gone when the client takes the new token', async (call, server) => {
  for (const name of ['a', 'b', 'c', 'd']) await call('POST', maps, { metadata: { name } });
  const first = await call('GET', `${maps}?limit=2`);
  await call('DELETE', `${maps}/c`);
  await call('POST', maps, { metadata: { name: 'e' } });
  await server.store.compact(server.store.revision);
  const expired = await call('GET', `${maps}?limit=2&continue=${String(at(first.body, 'metadata.continue'))}`);
  assert.deepEqual([expired.code, expired.body['reason']], [410, 'Expired']);
  assert.match(String(expired.body['message']), /or use the continue token in this response/);
  const rest = await call('GET', `${maps}?limit=2&continue=${String(at(expired.body, 'metadata.continue'))}`);
  assert.deepEqual([rest.code, names(rest.body)], [200, ['d', 'e']]);
  const exact = await call('GET', `${maps}?resourceVersion=1&resourceVersionMatch=Exact`);
  assert.deepEqual([exact.code, exact.body['reason'], String(exact.body['message']).startsWith('The resourceVersion for the provided list is too old')], [410, 'Expired', true]);
});

check('reads at least as new as asked for', async (call) => {
  const { body } = await call('POST', maps, { metadata: { name: 'a' } });
  const version = Number(at(body, 'metadata.resourceVersion'));
  await call('PATCH', `${maps}/a`, { data: { x: '2' } }, patchHeaders.merge);
  for (const query of ['', 'resourceVersion=0', `resourceVersion=${version}`, `resourceVersion=${version}&resourceVersionMatch=NotOlderThan`]) {
    assert.equal(at((await call('GET', `${maps}?${query}`)).body, 'items.0.data.x'), '2', query);
  }
  for (const query of [`resourceVersion=${version}&resourceVersionMatch=Exact`, `resourceVersion=${version}&limit=1`]) {
    const answer = await call('GET', `${maps}?${query}`);
    assert.deepEqual([at(answer.body, 'items.0.data'), at(answer.body, 'metadata.resourceVersion')], [undefined, String(version)], query);
  }
  assert.equal((await call('GET', `${maps}/a?resourceVersion=${version + 100}`)).code, 504);
});

check('begins a watch without initial events at the present', async (call, server) => {
  await call('POST', maps, { metadata: { name: 'old' } });
  const events = readWatch(server, `${maps}?watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=0&timeoutSeconds=30`);
  const first = events.next();
  // Nothing tells when a watch without events is open: new objects are made until one is seen.
  const seen = new AbortController();
  void first.finally(() => seen.abort());
  for (let made = 0; !seen.signal.aborted; made += 1) {
    assert.ok(made < 5000, 'no new object was seen');
    await call('POST', maps, { metadata: { name: `new-${made}` } });
  }
  const { value } = await first;
  await events.return();
  assert.deepEqual([value?.type, String(at(value?.object, 'metadata.name')).startsWith('new-')], ['ADDED', true]);
});

check('gives table rows as much of the object as asked for, in the version asked for', async (call) => {
  await call('POST', maps, { metadata: { name: 'a' }, data: { x: '1' } });
  const object = async (query: string, version = 'v1'): Promise<unknown> => at((await call('GET', `${maps}?${query}`, undefined, tableOf(version))).body, 'rows.0.object');
  assert.equal(await object('includeObject=None'), null);
  assert.deepEqual(Object.keys((await object('')) as object), ['kind', 'apiVersion', 'metadata']);
  assert.deepEqual([at(await object('includeObject=Object'), 'kind'), at(await object('includeObject=Object'), 'data.x')], ['ConfigMap', '1']);
  assert.equal(at(await object('includeObject=Metadata', 'v1beta1'), 'apiVersion'), 'meta.k8s.io/v1beta1');
  assert.equal((await call('GET', `${maps}?includeObject=Half`, undefined, tableOf('v1'))).code, 400);
});

check('has a table for every kind, with a name and as many cells as columns', async (call, server) => {
  for (const { type } of server.server.machine.kinds.all()) {
    const { body, code } = await call('GET', `${type.group === '' ? '/api' : `/apis/${type.group}`}/${type.version}/${type.plural}`, undefined, tableOf('v1'));
    const columns = body['columnDefinitions'] as { name: string; format: string; description: string }[];
    assert.deepEqual([code, body['kind'], columns.filter(({ format }) => format === 'name').length], [200, 'Table', 1], type.kind);
    assert.ok(columns.every(({ description }) => description !== ''), type.kind);
    for (const row of body['rows'] as { cells: unknown[] }[]) assert.equal(row.cells.length, columns.length, type.kind);
  }
});

check('answers in YAML when asked', async (call) => {
  await call('POST', maps, { metadata: { name: 'a' }, data: { x: 'yes', n: '1' } });
  const { headers, text } = await call('GET', `${maps}/a`, undefined, { accept: 'application/yaml' });
  assert.equal(headers.get('content-type'), 'application/yaml');
  assert.match(text, /^kind: 'ConfigMap'\napiVersion: 'v1'\nmetadata:\n/);
  assert.match(text, /\ndata:\n {2}x: 'yes'\n {2}n: '1'\n$/);
  assert.equal((await call('GET', `${maps}?watch=true`, undefined, { accept: 'application/yaml' })).code, 406);
});

check('shows kinds of which there is none, and lets nobody make one', async (call, server) => {
  const drivers = '/apis/storage.k8s.io/v1/csidrivers';
  const list = await call('GET', drivers);
  assert.deepEqual([list.code, list.body['kind'], list.body['items']], [200, 'CSIDriverList', []]);
  const refused = await call('POST', drivers, { metadata: { name: 'a' }, spec: {} });
  assert.deepEqual([refused.code, refused.body['reason'], (await call('GET', `${drivers}/a`)).code], [405, 'MethodNotAllowed', 404]);
  const events = readWatch(server, `${drivers}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=30`);
  const { value } = await events.next();
  await events.return();
  assert.deepEqual([value?.type, at(value?.object, 'kind')], ['BOOKMARK', 'CSIDriver']);
});

check('names what it does not select by, and warns of finalizers without a domain', async (call) => {
  const answer = await call('GET', '/apis/apps/v1/deployments?fieldSelector=spec.colour%3Dred');
  assert.equal(answer.body['message'], 'Unable to find "apps/v1, Resource=deployments" that match label selector "", field selector "spec.colour=red": field label not supported: spec.colour');
  const made = await call('POST', maps, { metadata: { name: 'a', finalizers: ['hold'] } });
  assert.match(made.headers.get('warning') ?? '', /metadata\.finalizers: \\"hold\\": prefer a domain-qualified finalizer name/);
});

check('warns of annotations of Ingress controllers that are not here', async (call) => {
  const ingress = (ingressClassName: string): object => ({ metadata: { name: ingressClassName, annotations: { 'nginx.ingress.kubernetes.io/rewrite-target': '/' } }, spec: { ingressClassName, defaultBackend: { service: { name: 'web', port: { number: 80 } } } } });
  const path = '/apis/networking.k8s.io/v1/namespaces/default/ingresses';
  assert.match((await call('POST', path, ingress('haproxy'))).headers.get('warning') ?? '', /nginx\.ingress\.kubernetes\.io\/rewrite-target\]: has no effect in class haproxy/);
  assert.equal((await call('POST', path, ingress('nginx'))).headers.get('warning'), null);
});

test('the API impersonates with extra fields, each allowed by name', async () => {
  const admin = authenticated('admin', '', [systemMasters]);
  const deputy = authenticated('deputy', '', []);
  await using server = await openTestApiServer({ authenticators: [new TokenAuthenticator([{ token: testToken, user: admin }, { token: 'deputy', user: deputy }])] });
  const call = apiCaller(server);
  const roles = '/apis/rbac.authorization.k8s.io/v1';
  await call('POST', `${roles}/clusterroles`, { metadata: { name: 'i' }, rules: [{ apiGroups: [''], resources: ['users'], verbs: ['impersonate'] }, { apiGroups: ['authentication.k8s.io'], resources: ['userextras/scopes'], resourceNames: ['view'], verbs: ['impersonate'] }] });
  await call('POST', `${roles}/clusterrolebindings`, { metadata: { name: 'i' }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'i' }, subjects: [{ kind: 'User', name: 'deputy' }] });
  const whoami = (headers: Record<string, string>): ReturnType<ApiCaller> => call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {}, { authorization: 'Bearer deputy', ...headers });
  const allowed = await whoami({ 'impersonate-user': 'jane', 'impersonate-extra-scopes': 'view' });
  assert.deepEqual([allowed.code, at(allowed.body, 'status.userInfo')], [201, { username: 'jane', groups: ['system:authenticated'], extra: { scopes: ['view'] } }]);
  assert.equal((await whoami({ 'impersonate-user': 'jane', 'impersonate-extra-scopes': 'edit' })).code, 403);
  assert.equal((await whoami({ 'impersonate-user': 'jane', 'impersonate-extra-acme.com%2fproject': 'x' })).code, 403);
  assert.equal((await whoami({ 'impersonate-extra-scopes': 'view' })).code, 400);
});
