import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ApiCaller, apiCaller, at, patchHeaders } from './testing/api-caller.ts';
import { openTestApiServer, standingClock, type TestApiServerOptions } from './testing/test-api-server.ts';

const pods = '/api/v1/namespaces/default/pods';
const maps = '/api/v1/namespaces/default/configmaps';
const deployments = '/apis/apps/v1/namespaces/default/deployments';

const pod = (name: string, more: object = {}): object => ({ metadata: { name }, spec: { containers: [{ name: 'c', image: 'busybox' }], ...more } });
const deployment = (name: string, replicas = 1): object => ({
  metadata: { name },
  spec: { replicas, selector: { matchLabels: { app: name } }, template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image: 'busybox' }] } } },
});

function check(title: string, run: (call: ApiCaller) => Promise<void>, options?: TestApiServerOptions): void {
  test(`ApiServer ${title}`, async () => {
    await using server = await openTestApiServer(options);
    await run(apiCaller(server));
  });
}

check('creates an object with what the server fills in', async (call) => {
  const { code, body } = await call('POST', pods, pod('a'));
  assert.equal(code, 201);
  assert.match(String(at(body, 'metadata.uid')), /^[0-9a-f-]{36}$/);
  assert.match(String(at(body, 'metadata.creationTimestamp')), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.equal(at(body, 'metadata.namespace'), 'default');
  assert.equal(at(body, 'metadata.generation'), 1);
  assert.equal(at(body, 'spec.restartPolicy'), 'Always');
  assert.equal(at(body, 'spec.containers.0.imagePullPolicy'), 'Always');
  assert.deepEqual(body['status'], { phase: 'Pending', qosClass: 'BestEffort' });
  assert.deepEqual((await call('GET', `${pods}/a`)).body, body);
  const again = await call('POST', pods, pod('a'));
  assert.deepEqual([again.code, again.body['reason'], at(again.body, 'details.name')], [409, 'AlreadyExists', 'a']);
});

check('generates names', async (call) => {
  const made = await Promise.all([1, 2, 3].map(() => call('POST', maps, { metadata: { generateName: 'cm-' } })));
  const names = made.map(({ body }) => String(at(body, 'metadata.name')));
  for (const name of names) assert.match(name, /^cm-[a-z0-9]{5}$/);
  assert.equal(new Set(names).size, 3);
});

check('does nothing in a dry run', async (call) => {
  const made = await call('POST', `${maps}?dryRun=All`, { metadata: { name: 'a' }, data: { x: '1' } });
  assert.equal(made.code, 201);
  assert.equal((await call('GET', `${maps}/a`)).code, 404);
  await call('POST', maps, { metadata: { name: 'a' } });
  assert.equal(at((await call('PATCH', `${maps}/a?dryRun=All`, { data: { x: '2' } }, patchHeaders.merge)).body, 'data.x'), '2');
  await call('DELETE', `${maps}/a?dryRun=All`);
  assert.equal(at((await call('GET', `${maps}/a`)).body, 'data'), undefined);
  assert.equal((await call('POST', `${maps}?dryRun=Some`, { metadata: { name: 'b' } })).code, 422);
});

check('treats unknown fields as fieldValidation says', async (call) => {
  const typo = (name: string): object => ({ metadata: { name }, dta: { a: 'b' } });
  const strict = await call('POST', `${maps}?fieldValidation=Strict`, typo('a'));
  assert.deepEqual([strict.code, strict.body['reason']], [400, 'BadRequest']);
  assert.match(String(strict.body['message']), /strict decoding error: unknown field "dta"/);
  const warned = await call('POST', maps, typo('b'));
  assert.deepEqual([warned.code, warned.headers.get('warning'), at(warned.body, 'dta')], [201, String.raw`299 - "unknown field \"dta\""`, undefined]);
  const ignored = await call('POST', `${maps}?fieldValidation=Ignore`, typo('c'));
  assert.deepEqual([ignored.code, ignored.headers.get('warning')], [201, null]);
});

check('says every mistake in Kubernetes’ words and with field paths', async (call) => {
  const answer = await call('POST', deployments, {
    metadata: { name: 'Bad_Name' },
    spec: { replicas: -1, selector: { matchLabels: { app: 'x' } }, template: { metadata: { labels: { app: 'y' } }, spec: { restartPolicy: 'Never', containers: [{ name: 'c' }] } } },
  });
  assert.equal(answer.code, 422);
  assert.equal(answer.body['reason'], 'Invalid');
  const causes = (at(answer.body, 'details.causes') as { reason: string; field: string }[]).map(({ reason, field }) => [field, reason]);
  assert.deepEqual(causes, [
    ['metadata.name', 'FieldValueInvalid'],
    ['spec.template.spec.containers[0].image', 'FieldValueRequired'],
    ['spec.template.spec.restartPolicy', 'FieldValueNotSupported'],
    ['spec.template.metadata.labels', 'FieldValueInvalid'],
    ['spec.replicas', 'FieldValueInvalid'],
  ]);
  assert.match(String(answer.body['message']), /^Deployment\.apps "Bad_Name" is invalid: \[metadata\.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain/);
  assert.match(String(answer.body['message']), /spec\.replicas: Invalid value: -1: must be greater than or equal to 0/);
});

check('replaces with optimistic concurrency', async (call) => {
  const made = await call('POST', maps, { metadata: { name: 'a' }, data: { n: '1' } });
  const version = at(made.body, 'metadata.resourceVersion');
  const put = (data: object, resourceVersion?: unknown): ReturnType<ApiCaller> => call('PUT', `${maps}/a`, { metadata: { name: 'a', ...(resourceVersion === undefined ? {} : { resourceVersion }) }, data });
  assert.equal((await put({ n: '2' }, version)).code, 200);
  const stale = await put({ n: '3' }, version);
  assert.deepEqual([stale.code, stale.body['reason']], [409, 'Conflict']);
  assert.match(String(stale.body['message']), /the object has been modified; please apply your changes to the latest version/);
  assert.equal((await put({ n: '4' })).code, 200);
  assert.equal((await call('PUT', `${maps}/a`, { metadata: { name: 'a', uid: '0000' } })).code, 409);
  assert.equal((await call('PUT', `${maps}/a`, { metadata: { name: 'b' } })).code, 400);
  assert.equal((await call('PUT', `${maps}/missing`, { metadata: { name: 'missing' } })).code, 404);
});

check('writes nothing when nothing changes', async (call) => {
  const made = await call('POST', deployments, deployment('a'));
  const same = await call('PATCH', `${deployments}/a`, { spec: { replicas: 1 } }, patchHeaders.strategic);
  assert.equal(at(same.body, 'metadata.resourceVersion'), at(made.body, 'metadata.resourceVersion'));
  const labelled = await call('PATCH', `${deployments}/a`, { metadata: { labels: { x: 'y' } } }, patchHeaders.strategic);
  assert.equal(at(labelled.body, 'metadata.generation'), 1);
  const scaled = await call('PATCH', `${deployments}/a`, { spec: { replicas: 2 } }, patchHeaders.strategic);
  assert.equal(at(scaled.body, 'metadata.generation'), 2);
});

check('keeps spec and status apart', async (call) => {
  await call('POST', deployments, { ...deployment('a'), status: { replicas: 9 } });
  assert.equal(at((await call('GET', `${deployments}/a`)).body, 'status'), undefined);
  await call('PATCH', `${deployments}/a/status`, { spec: { replicas: 7 }, status: { replicas: 3 } }, patchHeaders.merge);
  await call('PATCH', `${deployments}/a`, { spec: { replicas: 5 }, status: { replicas: 8 } }, patchHeaders.merge);
  const { body } = await call('GET', `${deployments}/a`);
  assert.deepEqual([at(body, 'spec.replicas'), at(body, 'status.replicas'), at(body, 'metadata.generation')], [5, 3, 2]);
});

check('patches in three formats', async (call) => {
  await call('POST', deployments, deployment('a'));
  const image = async (): Promise<unknown> => at((await call('GET', `${deployments}/a`)).body, 'spec.template.spec.containers.0.image');
  await call('PATCH', `${deployments}/a`, [{ op: 'replace', path: '/spec/template/spec/containers/0/image', value: 'one' }], patchHeaders.json);
  assert.equal(await image(), 'one');
  await call('PATCH', `${deployments}/a`, { spec: { template: { spec: { containers: [{ name: 'c', image: 'two' }, { name: 'd', image: 'x' }] } } } }, patchHeaders.strategic);
  assert.equal(await image(), 'two');
  await call('PATCH', `${deployments}/a`, { spec: { template: { spec: { containers: [{ name: 'c', image: 'three' }] } } } }, patchHeaders.merge);
  const { body } = await call('GET', `${deployments}/a`);
  assert.equal((at(body, 'spec.template.spec.containers') as unknown[]).length, 1);
  const failed = await call('PATCH', `${deployments}/a`, [{ op: 'test', path: '/spec/replicas', value: 99 }], patchHeaders.json);
  assert.equal(failed.code, 422);
  assert.equal((await call('PATCH', `${deployments}/a`, { spec: {} }, { 'content-type': 'text/plain' })).code, 415);
  assert.equal((await call('PATCH', `${deployments}/a`, { metadata: { resourceVersion: '1' } }, patchHeaders.merge)).code, 409);
});

check('applies concurrent patches of one object one after the other', async (call) => {
  await call('POST', maps, { metadata: { name: 'a' }, data: {} });
  const answers = await Promise.all(Array.from({ length: 25 }, (_, index) => call('PATCH', `${maps}/a`, { data: { [`k${index}`]: 'x' } }, patchHeaders.merge)));
  assert.ok(answers.every(({ code }) => code === 200));
  assert.equal(Object.keys(at((await call('GET', `${maps}/a`)).body, 'data') as object).length, 25);
});

check('refuses changes of what is fixed', async (call) => {
  await call('POST', deployments, deployment('a'));
  const selector = await call('PATCH', `${deployments}/a`, { spec: { selector: { matchLabels: { app: 'b' } }, template: { metadata: { labels: { app: 'b' } } } } }, patchHeaders.merge);
  assert.match(String(selector.body['message']), /spec\.selector: Invalid value: .*: field is immutable/);
  await call('POST', pods, pod('p'));
  const command = await call('PATCH', `${pods}/p`, { spec: { containers: [{ name: 'c', command: ['x'] }] } }, patchHeaders.strategic);
  assert.match(String(command.body['message']), /spec: Forbidden: pod updates may not change fields other than/);
  assert.equal((await call('PATCH', `${pods}/p`, { spec: { containers: [{ name: 'c', image: 'new' }] } }, patchHeaders.strategic)).code, 200);
  await call('POST', maps, { metadata: { name: 'm' }, immutable: true, data: { a: 'b' } });
  assert.equal((await call('PATCH', `${maps}/m`, { data: { a: 'c' } }, patchHeaders.merge)).code, 422);
});

check('deletes at once, or marks and waits for finalizers', async (call) => {
  await call('POST', maps, { metadata: { name: 'a' } });
  const gone = await call('DELETE', `${maps}/a`);
  assert.deepEqual([gone.code, gone.body['kind'], gone.body['status'], at(gone.body, 'details.name')], [200, 'Status', 'Success', 'a']);
  await call('POST', maps, { metadata: { name: 'b', finalizers: ['example.com/hold'] } });
  const marked = await call('DELETE', `${maps}/b`);
  assert.ok(at(marked.body, 'metadata.deletionTimestamp'));
  const added = await call('PATCH', `${maps}/b`, { metadata: { finalizers: ['example.com/hold', 'example.com/more'] } }, patchHeaders.merge);
  assert.match(String(added.body['message']), /no new finalizers can be added/);
  assert.equal((await call('PATCH', `${maps}/b`, { metadata: { finalizers: null } }, patchHeaders.merge)).code, 200);
  assert.equal((await call('GET', `${maps}/b`)).code, 404);
});

check('deletes with preconditions and propagation', async (call) => {
  const { body } = await call('POST', maps, { metadata: { name: 'a' } });
  assert.equal((await call('DELETE', `${maps}/a`, { preconditions: { uid: 'other' } })).code, 409);
  assert.equal((await call('DELETE', `${maps}/a`, { preconditions: { resourceVersion: '1' } })).code, 409);
  assert.equal((await call('DELETE', `${maps}/a`, { propagationPolicy: 'Sideways' })).code, 422);
  const foreground = await call('DELETE', `${maps}/a`, { propagationPolicy: 'Foreground', preconditions: { uid: at(body, 'metadata.uid') } });
  assert.deepEqual(at(foreground.body, 'metadata.finalizers'), ['foregroundDeletion']);
  const orphan = await call('DELETE', `${maps}/a?propagationPolicy=Orphan`);
  assert.deepEqual(at(orphan.body, 'metadata.finalizers'), ['orphan']);
  assert.equal((await call('DELETE', `${maps}/a`, { propagationPolicy: 'Background' })).code, 200);
  assert.equal((await call('GET', `${maps}/a`)).code, 404);
});

check('gives a pod on a node its grace and lets the agent end it', async (call) => {
  await call('POST', pods, pod('unbound'));
  await call('DELETE', `${pods}/unbound`);
  assert.equal((await call('GET', `${pods}/unbound`)).code, 404);
  await call('POST', pods, pod('bound', { terminationGracePeriodSeconds: 20 }));
  assert.equal((await call('POST', `${pods}/bound/binding`, { target: { kind: 'Node', name: 'n1' } })).code, 201);
  assert.equal((await call('POST', `${pods}/bound/binding`, { target: { kind: 'Node', name: 'n2' } })).code, 409);
  const asked = await call('DELETE', `${pods}/bound`);
  assert.equal(at(asked.body, 'metadata.deletionGracePeriodSeconds'), 20);
  const hurried = await call('DELETE', `${pods}/bound?gracePeriodSeconds=5`);
  assert.equal(at(hurried.body, 'metadata.deletionGracePeriodSeconds'), 5);
  const slowed = await call('DELETE', `${pods}/bound?gracePeriodSeconds=50`);
  assert.equal(at(slowed.body, 'metadata.deletionGracePeriodSeconds'), 5);
  assert.equal((await call('DELETE', `${pods}/bound?gracePeriodSeconds=0`)).code, 200);
  assert.equal((await call('GET', `${pods}/bound`)).code, 404);
});

check('deletes a collection by selector', async (call) => {
  for (const [name, app] of [['a', 'x'], ['b', 'x'], ['c', 'y']]) await call('POST', maps, { metadata: { name, labels: { app } } });
  const deleted = await call('DELETE', `${maps}?labelSelector=app%3Dx`);
  assert.equal((deleted.body['items'] as unknown[]).length, 2);
  const left = await call('GET', maps);
  assert.deepEqual((left.body['items'] as unknown[]).map((item) => at(item, 'metadata.name')), ['c']);
});

check('lists by label and field, in one namespace or all', async (call) => {
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'other' } });
  await call('POST', pods, { ...pod('a'), metadata: { name: 'a', labels: { app: 'x' } } });
  await call('POST', pods, pod('b'));
  await call('POST', '/api/v1/namespaces/other/pods', { ...pod('c'), metadata: { name: 'c', labels: { app: 'x' } } });
  await call('POST', `${pods}/b/binding`, { target: { name: 'n1' } });
  const names = async (path: string): Promise<unknown[]> => ((await call('GET', path)).body['items'] as unknown[]).map((item) => at(item, 'metadata.name'));
  assert.deepEqual(await names(pods), ['a', 'b']);
  assert.deepEqual(await names('/api/v1/pods'), ['a', 'b', 'c']);
  assert.deepEqual(await names('/api/v1/pods?labelSelector=app%3Dx'), ['a', 'c']);
  assert.deepEqual(await names('/api/v1/pods?labelSelector=app%21%3Dx'), ['b']);
  assert.deepEqual(await names('/api/v1/pods?fieldSelector=spec.nodeName%3Dn1'), ['b']);
  assert.deepEqual(await names('/api/v1/pods?fieldSelector=spec.nodeName%3D'), ['a', 'c']);
  assert.deepEqual(await names('/api/v1/pods?fieldSelector=metadata.name%3Dc'), ['c']);
  assert.deepEqual(await names(`${pods}?fieldSelector=metadata.name%3Dc`), []);
  assert.deepEqual(await names('/api/v1/pods?fieldSelector=metadata.namespace%21%3Dother'), ['a', 'b']);
  assert.equal((await call('GET', '/api/v1/pods?fieldSelector=spec.colour%3Dred')).code, 400);
  assert.equal((await call('GET', '/api/v1/pods?labelSelector=%3D%3D')).code, 400);
});

check('pages through a list as it was when it began', async (call) => {
  for (const name of ['a', 'b', 'c', 'd', 'e']) await call('POST', maps, { metadata: { name }, data: { v: '1' } });
  const first = await call('GET', `${maps}?limit=2`);
  const token = String(at(first.body, 'metadata.continue'));
  assert.equal(at(first.body, 'metadata.remainingItemCount'), 3);
  await call('DELETE', `${maps}/c`);
  await call('PATCH', `${maps}/d`, { data: { v: '2' } }, patchHeaders.merge);
  await call('POST', maps, { metadata: { name: 'aa' } });
  const second = await call('GET', `${maps}?limit=2&continue=${token}`);
  assert.deepEqual((second.body['items'] as unknown[]).map((item) => [at(item, 'metadata.name'), at(item, 'data.v')]), [['c', '1'], ['d', '1']]);
  assert.equal(at(second.body, 'metadata.resourceVersion'), at(first.body, 'metadata.resourceVersion'));
  const third = await call('GET', `${maps}?limit=2&continue=${String(at(second.body, 'metadata.continue'))}`);
  assert.deepEqual((third.body['items'] as unknown[]).map((item) => at(item, 'metadata.name')), ['e']);
  assert.equal(at(third.body, 'metadata.continue'), undefined);
  assert.equal((await call('GET', `${maps}?continue=nonsense`)).code, 400);
  const exact = await call('GET', `${maps}?resourceVersionMatch=Exact&resourceVersion=${String(at(first.body, 'metadata.resourceVersion'))}`);
  assert.equal((exact.body['items'] as unknown[]).length, 5);
  const future = await call('GET', `${maps}?resourceVersion=999999`);
  assert.deepEqual([future.code, future.body['reason']], [504, 'Timeout']);
});

check('says Expired for a page whose history is gone', async (call) => {
  await using server = await openTestApiServer();
  const own = apiCaller(server);
  for (const name of ['a', 'b', 'c']) await own('POST', maps, { metadata: { name } });
  const first = await own('GET', `${maps}?limit=1`);
  await own('DELETE', `${maps}/b`);
  await server.store.compact(server.store.revision);
  const next = await own('GET', `${maps}?limit=1&continue=${String(at(first.body, 'metadata.continue'))}`);
  assert.deepEqual([next.code, next.body['reason']], [410, 'Expired']);
  assert.equal((await call('GET', maps)).code, 200);
});

check('empties a namespace’s name only when its finalizer is gone', async (call) => {
  assert.equal((await call('POST', '/api/v1/namespaces/none/configmaps', { metadata: { name: 'a' } })).code, 404);
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'tmp' } });
  const going = await call('DELETE', '/api/v1/namespaces/tmp');
  assert.equal(at(going.body, 'status.phase'), 'Terminating');
  const refused = await call('POST', '/api/v1/namespaces/tmp/configmaps', { metadata: { name: 'a' } });
  assert.deepEqual([refused.code, at(refused.body, 'details.causes.0.reason')], [403, 'NamespaceTerminating']);
  assert.equal((await call('PUT', '/api/v1/namespaces/tmp/finalize', { metadata: { name: 'tmp' }, spec: { finalizers: [] } })).code, 200);
  assert.equal((await call('GET', '/api/v1/namespaces/tmp')).code, 404);
});

check('scales by its own subresource', async (call) => {
  await call('POST', deployments, deployment('a', 2));
  const scale = await call('GET', `${deployments}/a/scale`);
  assert.deepEqual([scale.body['kind'], at(scale.body, 'spec.replicas'), at(scale.body, 'status.selector')], ['Scale', 2, 'app=a']);
  await call('PATCH', `${deployments}/a/scale`, { spec: { replicas: 4 } }, patchHeaders.merge);
  await call('PUT', `${deployments}/a/scale`, { ...scale.body, metadata: { name: 'a' }, spec: { replicas: 6 } });
  assert.equal(at((await call('GET', `${deployments}/a`)).body, 'spec.replicas'), 6);
  assert.equal((await call('PUT', `${deployments}/a/scale`, scale.body)).code, 409);
  assert.equal((await call('PATCH', `${deployments}/a/scale`, { spec: { replicas: -1 } }, patchHeaders.merge)).code, 422);
});

check('shows tables and metadata alone', async (call) => {
  await call('POST', pods, pod('a'));
  const table = await call('GET', pods, undefined, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' });
  assert.deepEqual((table.body['columnDefinitions'] as { name: string }[]).map(({ name }) => name), ['Name', 'Ready', 'Status', 'Restarts', 'Age', 'IP', 'Node', 'Nominated Node', 'Readiness Gates']);
  assert.deepEqual(at(table.body, 'rows.0.cells'), ['a', '0/1', 'Pending', '0', '0s', '<none>', '<none>', '<none>', '<none>']);
  const partial = await call('GET', pods, undefined, { accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io' });
  assert.deepEqual([partial.body['kind'], Object.keys(at(partial.body, 'items.0') as object)], ['PartialObjectMetadataList', ['kind', 'apiVersion', 'metadata']]);
  assert.equal((await call('GET', pods, undefined, { accept: 'text/html' })).code, 406);
}, { clock: standingClock });

check('folds stringData into data and checks secrets by type', async (call) => {
  const secrets = '/api/v1/namespaces/default/secrets';
  const made = await call('POST', secrets, { metadata: { name: 'a' }, data: { x: 'MQ==' }, stringData: { y: '2' } });
  assert.deepEqual([made.body['type'], made.body['data'], made.body['stringData']], ['Opaque', { x: 'MQ==', y: 'Mg==' }, undefined]);
  const tls = await call('POST', secrets, { metadata: { name: 'b' }, type: 'kubernetes.io/tls', data: { 'tls.crt': 'MQ==' } });
  assert.match(String(tls.body['message']), /data\[tls\.key\]: Required value/);
});
