import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ApiCaller, apiCaller, at, patchHeaders } from './testing/api-caller.ts';
import { openTestApiServer } from './testing/test-api-server.ts';

const pods = '/api/v1/namespaces/default/pods';
const pod = (name: string, more: object = {}, container: object = {}): object => ({ metadata: { name }, spec: { containers: [{ name: 'c', image: 'x', ...container }], ...more } });

function check(title: string, run: (call: ApiCaller) => Promise<void>): void {
  test(title, async () => {
    await using server = await openTestApiServer();
    await run(apiCaller(server));
  });
}

check('PriorityClasses give pods their priority', async (call) => {
  const classes = '/apis/scheduling.k8s.io/v1/priorityclasses';
  await call('POST', classes, { metadata: { name: 'high' }, value: 1000, preemptionPolicy: 'Never' });
  const made = await call('POST', pods, pod('a', { priorityClassName: 'high' }));
  assert.deepEqual([at(made.body, 'spec.priority'), at(made.body, 'spec.preemptionPolicy')], [1000, 'Never']);
  const missing = await call('POST', pods, pod('b', { priorityClassName: 'none' }));
  assert.deepEqual([missing.code, missing.body['message']], [403, 'pods is forbidden: no PriorityClass with name none was found']);
  assert.equal((await call('POST', pods, pod('c', { priority: 5 }))).code, 403);
  await call('POST', classes, { metadata: { name: 'usual' }, value: 10, globalDefault: true });
  assert.deepEqual(at((await call('POST', pods, pod('d'))).body, 'spec.priorityClassName'), 'usual');
  assert.equal(at((await call('POST', pods, pod('e', { priorityClassName: 'system-node-critical' }))).body, 'spec.priority'), 2_000_001_000);
  assert.equal((await call('POST', classes, { metadata: { name: 'too-high' }, value: 2_000_000_000 })).code, 422);
  assert.equal((await call('PATCH', `${classes}/high`, { value: 1 }, patchHeaders.merge)).code, 422);
});

check('LimitRanges fill in and bound what pods ask for', async (call) => {
  const limits = { spec: { limits: [{ type: 'Container', default: { cpu: '500m' }, defaultRequest: { cpu: '100m' }, min: { cpu: '50m' }, max: { cpu: '1' } }, { type: 'Pod', max: { memory: '1Gi' } }] } };
  assert.equal((await call('POST', '/api/v1/namespaces/default/limitranges', { metadata: { name: 'l' }, ...limits })).code, 201);
  const memory = { limits: { memory: '256Mi' } };
  const plain = await call('POST', pods, pod('a', {}, { resources: memory }));
  assert.deepEqual(at(plain.body, 'spec.containers.0.resources'), { limits: { cpu: '500m', memory: '256Mi' }, requests: { cpu: '100m', memory: '256Mi' } });
  const table: [resources: object, message: RegExp][] = [
    [{ ...memory, requests: { cpu: '10m' } }, /minimum cpu usage per Container is 50m, but request is 10m/],
    [{ limits: { memory: '256Mi', cpu: '2' } }, /maximum cpu usage per Container is 1, but limit is 2/],
    [{ limits: { memory: '2Gi' } }, /maximum memory usage per Pod is 1Gi, but limit is 2Gi/],
    [{}, /maximum memory usage per Pod is 1Gi\. {2}No limit is specified/],
  ];
  for (const [resources, message] of table) {
    const answer = await call('POST', pods, pod('b', {}, { resources }));
    assert.deepEqual([answer.code, message.test(String(answer.body['message']))], [403, true], String(answer.body['message']));
  }
});

check('LimitRanges bound claims, ratios and what starting a pod needs', async (call) => {
  const ranges = '/api/v1/namespaces/default/limitranges';
  const made = await call('POST', ranges, { metadata: { name: 'l' }, spec: { limits: [{ type: 'PersistentVolumeClaim', min: { storage: '1Gi' }, max: { storage: '5Gi' } }, { type: 'Container', maxLimitRequestRatio: { cpu: '2' } }, { type: 'Pod', max: { cpu: '1' } }] } });
  assert.equal(made.code, 201, String(made.body['message']));
  const claim = (size: string): Promise<{ code: number; body: Record<string, unknown> }> => call('POST', '/api/v1/namespaces/default/persistentvolumeclaims', { metadata: { name: 'c' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: size } } } });
  assert.equal((await claim('500Mi')).body['message'], 'persistentvolumeclaims "c" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi');
  assert.equal((await claim('6Gi')).body['message'], 'persistentvolumeclaims "c" is forbidden: maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 6Gi');
  assert.equal((await claim('2Gi')).code, 201);
  const cpu = (request: string, limit: string): object => ({ resources: { requests: { cpu: request }, limits: { cpu: limit } } });
  const table: [pod: object, message: string][] = [
    [pod('a', {}, cpu('200m', '500m')), 'cpu max limit to request ratio per Container is 2, but provided ratio is 2.500000'],
    [pod('a'), '[cpu max limit to request ratio per Container is 2, but no request is specified or request is 0, maximum cpu usage per Pod is 1.  No limit is specified]'],
    [pod('a', { initContainers: [{ name: 'i', image: 'x', ...cpu('1', '2') }] }, cpu('500m', '500m')), 'maximum cpu usage per Pod is 1, but limit is 2'],
  ];
  for (const [given, message] of table) assert.equal((await call('POST', pods, given)).body['message'], `pods "a" is forbidden: ${message}`);
  assert.equal((await call('POST', pods, pod('a', {}, cpu('500m', '1')))).code, 201);
  const wrong = await call('POST', ranges, { metadata: { name: 'w' }, spec: { limits: [{ type: 'PersistentVolumeClaim' }, { type: 'Container', maxLimitRequestRatio: { cpu: '500m' } }, { type: 'Container' }] } });
  const causes = at(wrong.body, 'details.causes') as { field: string; message: string }[];
  assert.deepEqual(causes.map(({ field, message }) => `${field}: ${message}`), ['spec.limits[0]: Required value: either minimum or maximum storage value is required, but neither was provided', 'spec.limits[1].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1', 'spec.limits[2].type: Duplicate value: "Container"']);
});

check('autoscaling/v1 is a view of autoscaling/v2', async (call) => {
  const [v1, v2] = ['v1', 'v2'].map((version) => `/apis/autoscaling/${version}/namespaces/default/horizontalpodautoscalers`) as [string, string];
  const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' };
  const made = await call('POST', v1, { metadata: { name: 'a' }, spec: { maxReplicas: 3, scaleTargetRef, targetCPUUtilizationPercentage: 50 } });
  assert.deepEqual([made.code, made.body['apiVersion'], at(made.body, 'spec.targetCPUUtilizationPercentage')], [201, 'autoscaling/v1', 50]);
  assert.deepEqual(at((await call('GET', `${v2}/a`)).body, 'spec.metrics'), [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } }]);
  const metrics = [{ type: 'Resource', resource: { name: 'memory', target: { type: 'Utilization', averageUtilization: 70 } } }];
  await call('PATCH', `${v2}/a`, { spec: { metrics, behavior: { scaleDown: { stabilizationWindowSeconds: 5 } } } }, patchHeaders.merge);
  await call('PATCH', `${v1}/a`, { spec: { maxReplicas: 9 } }, patchHeaders.merge);
  const { body } = await call('GET', `${v2}/a`);
  assert.deepEqual([at(body, 'spec.maxReplicas'), at(body, 'spec.metrics'), at(body, 'spec.behavior.scaleDown.stabilizationWindowSeconds'), at(body, 'metadata.annotations')], [9, metrics, 5, undefined]);
  const list = await call('GET', v1);
  assert.deepEqual([list.body['apiVersion'], at(list.body, 'items.0.apiVersion'), at(list.body, 'items.0.spec.targetCPUUtilizationPercentage')], ['autoscaling/v1', 'autoscaling/v1', undefined]);
  const invalid = await call('POST', v1, { metadata: { name: 'b' }, spec: { maxReplicas: 0, scaleTargetRef } });
  assert.match(String(invalid.body['message']), /spec\.maxReplicas: Invalid value: 0: must be greater than 0/);
});
