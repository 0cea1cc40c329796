import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pollUntil } from '../../../kernel/mod.ts';
import { type ApiCaller, apiCaller, at, patchHeaders } from '../testing/api-caller.ts';
import { openTestApiServer } from '../testing/test-api-server.ts';

const quotas = '/api/v1/namespaces/default/resourcequotas';
const pods = '/api/v1/namespaces/default/pods';
const maps = '/api/v1/namespaces/default/configmaps';

const pod = (name: string, resources: object = {}, more: object = {}): object => ({ metadata: { name }, spec: { containers: [{ name: 'c', image: 'i', resources }], ...more } });
const quota = (hard: object, more: object = {}): object => ({ metadata: { name: 'q' }, spec: { hard, ...more } });

function check(title: string, run: (call: ApiCaller) => Promise<void>): void {
  test(`ResourceQuota ${title}`, async () => {
    await using server = await openTestApiServer();
    await run(apiCaller(server));
  });
}

const used = async (call: ApiCaller, wanted: object): Promise<void> => {
  let last: unknown;
  const isThere = async (): Promise<true | undefined> => {
    last = at((await call('GET', `${quotas}/q`)).body, 'status.used');
    return JSON.stringify(last) === JSON.stringify(wanted) ? true : undefined;
  };
  await pollUntil('the status', isThere, { timeoutMs: 30_000 }, AbortSignal.timeout(30_000)).catch(() => assert.deepEqual(last, wanted));
};

check('limits counts and amounts, and says what is used', async (call) => {
  await call('POST', quotas, quota({ pods: '2', 'requests.cpu': '1', 'limits.memory': '1Gi', 'count/deployments.apps': '1', configmaps: '1', 'services.nodeports': '1' }));
  await used(call, { pods: '0', 'requests.cpu': '0', 'limits.memory': '0', 'count/deployments.apps': '0', configmaps: '0', 'services.nodeports': '0' });
  assert.equal((await call('POST', pods, pod('a', { requests: { cpu: '600m' }, limits: { memory: '256Mi' } }))).code, 201);
  const cpu = await call('POST', pods, pod('b', { requests: { cpu: '500m' }, limits: { memory: '256Mi' } }));
  assert.deepEqual([cpu.code, cpu.body['reason'], cpu.body['message']], [403, 'Forbidden', 'pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, limited: requests.cpu=1']);
  const silent = await call('POST', pods, pod('b'));
  assert.equal(silent.body['message'], 'pods "b" is forbidden: failed quota: q: must specify requests.cpu for: c; limits.memory for: c');
  await call('POST', maps, { metadata: { name: 'one' } });
  assert.equal((await call('POST', maps, { metadata: { name: 'two' } })).code, 403);
  assert.equal((await call('PATCH', `${maps}/one`, { data: { x: 'y' } }, patchHeaders.merge)).code, 200);
  const service = (name: string): object => ({ metadata: { name }, spec: { type: 'NodePort', ports: [{ port: 80 }] } });
  assert.equal((await call('POST', '/api/v1/namespaces/default/services', service('s'))).code, 201);
  assert.equal((await call('PATCH', '/api/v1/namespaces/default/services/s', { spec: { ports: [{ port: 80, name: 'a' }, { port: 81, name: 'b' }] } }, patchHeaders.merge)).code, 403, 'an update may not grow beyond it either');
  await used(call, { pods: '1', 'requests.cpu': '600m', 'limits.memory': '256Mi', 'count/deployments.apps': '0', configmaps: '1', 'services.nodeports': '1' });
  const table = await call('GET', quotas, undefined, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' });
  assert.deepEqual((at(table.body, 'rows.0.cells') as unknown[]).slice(1, 3), ['configmaps: 1/1, count/deployments.apps: 0/1, pods: 1/2, requests.cpu: 600m/1, services.nodeports: 1/1', 'limits.memory: 256Mi/1Gi']);
  await call('DELETE', `${pods}/a`);
  await used(call, { pods: '0', 'requests.cpu': '0', 'limits.memory': '0', 'count/deployments.apps': '0', configmaps: '1', 'services.nodeports': '1' });
});

check('holds for many writers at once', async (call) => {
  await call('POST', quotas, quota({ configmaps: '7' }));
  const codes = await Promise.all(Array.from({ length: 30 }, async (_, index) => (await call('POST', maps, { metadata: { name: `m-${index}` } })).code));
  assert.deepEqual([codes.filter((code) => code === 201).length, codes.filter((code) => code === 403).length], [7, 23]);
  assert.equal((await call('POST', `${maps}?dryRun=All`, { metadata: { name: 'dry' } })).code, 403);
});

check('counts only the pods of its scopes, and not those that have ended', async (call) => {
  await call('POST', quotas, quota({ pods: '1' }, { scopes: ['BestEffort'] }));
  await call('POST', pods, pod('bounded', { requests: { cpu: '1' } }));
  assert.equal((await call('POST', pods, pod('free'))).code, 201);
  assert.equal((await call('POST', pods, pod('free-2'))).code, 403);
  await call('PATCH', `${pods}/free/status`, { status: { phase: 'Succeeded' } }, patchHeaders.merge);
  assert.equal((await call('POST', pods, pod('free-2'))).code, 201);
});

check('is checked itself', async (call) => {
  const table: [given: object, message: RegExp][] = [
    [quota({ pods: '-1' }), /spec\.hard\[pods\]: Invalid value: "-1": must be greater than or equal to 0/],
    [quota({ pods: '1500m' }), /spec\.hard\[pods\]: Invalid value: "1500m": must be an integer/],
    [quota({ apples: '1' }), /must be a standard resource type or fully qualified/],
    [quota({ pods: '1' }, { scopes: ['Sometimes'] }), /spec\.scopes\[0\]: Unsupported value: "Sometimes"/],
    [quota({ secrets: '1' }, { scopes: ['Terminating'] }), /unsupported scope applied to resource/],
    [quota({ pods: '1' }, { scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In' }] } }), /values: Required value/],
  ];
  for (const [given, message] of table) {
    const answer = await call('POST', quotas, given);
    assert.deepEqual([answer.code, message.test(String(answer.body['message']))], [422, true], String(answer.body['message']));
  }
});
