import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiCaller, at, patchHeaders } from './testing/api-caller.ts';
import { openTestApiServer } from './testing/test-api-server.ts';

const core = '/api/v1/namespaces/default/events';
const newer = '/apis/events.k8s.io/v1/namespaces/default/events';
const pod = { kind: 'Pod', namespace: 'default', name: 'web', apiVersion: 'v1' };
const event = (name: string, over: object = {}): object => ({ metadata: { name }, eventTime: '2026-01-01T00:00:00.000001Z', reportingController: 'test.dev/robot', reportingInstance: 'robot-1', action: 'Testing', reason: 'Tested', regarding: pod, note: 'all is well', type: 'Normal', ...over });

test('Events are the same objects in both groups, under the names of each', async () => {
  await using server = await openTestApiServer();
  const call = apiCaller(server);
  const made = await call('POST', newer, event('a'));
  assert.deepEqual([made.code, made.body['apiVersion'], at(made.body, 'regarding.name'), made.body['note']], [201, 'events.k8s.io/v1', 'web', 'all is well']);
  const seen = await call('GET', `${core}/a`);
  assert.deepEqual([seen.body['apiVersion'], at(seen.body, 'involvedObject.name'), seen.body['message'], seen.body['reportingComponent'], seen.body['note']], ['v1', 'web', 'all is well', 'test.dev/robot', undefined]);
  await call('POST', core, { metadata: { name: 'b' }, involvedObject: { ...pod, name: 'other' }, reason: 'Old', message: 'm', type: 'Warning', source: { component: 'kubelet', host: 'n' }, firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp: '2026-01-01T00:00:00Z', count: 2 });
  const old = await call('GET', `${newer}/b`);
  assert.deepEqual([at(old.body, 'deprecatedSource.component'), old.body['deprecatedCount'], old.body['deprecatedFirstTimestamp'], old.body['note']], ['kubelet', 2, '2026-01-01T00:00:00Z', 'm']);
  const patched = await call('PATCH', `${newer}/a`, { series: { count: 2, lastObservedTime: '2026-01-01T00:01:00.000000Z' } }, patchHeaders.merge);
  assert.deepEqual([patched.code, at((await call('GET', `${core}/a`)).body, 'series.count')], [200, 2]);
  const listed = await call('GET', newer);
  assert.deepEqual([listed.body['kind'], listed.body['apiVersion'], (listed.body['items'] as unknown[]).length], ['EventList', 'events.k8s.io/v1', 2]);
  assert.equal((await call('DELETE', `${newer}/b`)).code, 200);
  assert.equal((await call('GET', `${core}/b`)).code, 404);
});

test('Events are selected by the fields of their group', async () => {
  await using server = await openTestApiServer();
  const call = apiCaller(server);
  await call('POST', newer, event('a'));
  await call('POST', newer, event('b', { type: 'Warning', regarding: { ...pod, kind: 'Node', name: 'n1' }, reportingController: 'other' }));
  const names = async (path: string, selector: string): Promise<unknown> => {
    const { body, code } = await call('GET', `${path}?fieldSelector=${encodeURIComponent(selector)}`);
    return code === 200 ? (body['items'] as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name) : body['message'];
  };
  const cases: [string, string, unknown][] = [
    [newer, 'regarding.kind=Node,regarding.name=n1', ['b']],
    [newer, 'reportingController=test.dev/robot', ['a']],
    [newer, 'type!=Normal', ['b']],
    [core, 'involvedObject.kind=Pod', ['a']],
    [core, 'reportingComponent=other', ['b']],
    [newer, 'involvedObject.kind=Pod', 'field label not supported: involvedObject.kind'],
    [core, 'regarding.kind=Pod', 'field label not supported: regarding.kind'],
  ];
  for (const [path, selector, expected] of cases) {
    const got = await names(path, selector);
    if (typeof expected === 'string') assert.match(String(got), new RegExp(expected), selector);
    else assert.deepEqual(got, expected, selector);
  }
});

test('Events in events.k8s.io are checked by its rules, with its field names', async () => {
  await using server = await openTestApiServer();
  const call = apiCaller(server);
  const causes = async (over: object): Promise<unknown> => ((at((await call('POST', newer, event('x', over))).body, 'details.causes') ?? []) as { field: string; message: string }[]).map(({ field, message }) => `${field}: ${message}`);
  assert.deepEqual(await causes({ eventTime: undefined, type: 'Loud', deprecatedCount: 1, deprecatedSource: { component: 'c' } }), ['eventTime: Required value', 'type: Invalid value: "": has invalid value: Loud', 'count: Invalid value: "": needs to be unset', 'source: Invalid value: "": needs to be unset']);
  assert.deepEqual(await causes({ reportingController: '', action: '', reportingInstance: 'x'.repeat(129) }), ['reportingComponent: Required value', 'reportingInstance: Invalid value: "": can have at most 128 characters', 'action: Required value']);
});

test('Watches of both groups see every event under their own names', async () => {
  await using server = await openTestApiServer();
  const call = apiCaller(server);
  const { body } = await call('GET', core);
  await call('POST', newer, event('a'));
  const query = `?watch=1&timeoutSeconds=1&resourceVersion=${String(at(body, 'metadata.resourceVersion'))}`;
  const [old, fresh] = await Promise.all([call('GET', core + query), call('GET', newer + query)]);
  const first = (text: string): unknown => JSON.parse(text.split('\n')[0] ?? '');
  assert.deepEqual([at(first(old.text), 'object.involvedObject.name'), at(first(fresh.text), 'object.regarding.name')], ['web', 'web']);
});
