import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodMetric } from '../ports.ts';
import { apiCaller, at } from '../testing/api-caller.ts';
import { openTestApiServer } from '../testing/test-api-server.ts';

const root = '/apis/custom.metrics.k8s.io/v1beta2';
const sample = (pod: string, value: number, labels: Record<string, string> = {}, metric = 'requests_per_second'): PodMetric => ({ pod, metric, labels, value, time: '2026-01-01T00:00:00Z', windowMs: 5000 });

test('custom metrics are those of pods, or added up for what selects them', async () => {
  const samples = [sample('a', 1.5, { code: '200' }), sample('a', 0.5, { code: '500' }), sample('b', 3, { code: '200' }), sample('other', 100, { code: '200' }), sample('a', 7, {}, 'queue')];
  await using server = await openTestApiServer({ customMetrics: { metrics: (namespace) => (namespace === 'default' ? samples : []), names: () => ['queue', 'requests_per_second'] } });
  const call = apiCaller(server);
  const core = '/api/v1/namespaces/default';
  for (const [name, app] of [['a', 'web'], ['b', 'web'], ['other', 'x']]) await call('POST', `${core}/pods`, { metadata: { name, labels: { app } }, spec: { containers: [{ name: 'c', image: 'i' }] } });
  await call('POST', `${core}/services`, { metadata: { name: 'web' }, spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } });
  const labels = { app: 'web' };
  await call('POST', '/apis/apps/v1/namespaces/default/deployments', { metadata: { name: 'web' }, spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } } } });
  const values = async (path: string): Promise<unknown> => {
    const { code, body } = await call('GET', `${root}/namespaces/default/${path}`);
    return code === 200 ? (body['items'] as unknown[]).map((item) => [at(item, 'describedObject.kind'), at(item, 'describedObject.name'), at(item, 'value')]) : code;
  };
  assert.deepEqual(await values('pods/*/requests_per_second?labelSelector=app%3Dweb'), [['Pod', 'a', '2'], ['Pod', 'b', '3']]);
  assert.deepEqual(await values('pods/*/requests_per_second?labelSelector=app%3Dweb&metricLabelSelector=code%3D500'), [['Pod', 'a', '500m']]);
  assert.deepEqual(await values('pods/a/queue'), [['Pod', 'a', '7']]);
  assert.deepEqual(await values('services/web/requests_per_second'), [['Service', 'web', '5']]);
  assert.deepEqual(await values('deployments.apps/web/requests_per_second'), [['Deployment', 'web', '5']]);
  assert.deepEqual(await values('metrics/requests_per_second'), [['Namespace', 'default', '105']]);
  assert.equal(await values('pods/*/nothing'), 404);
  const one = (await call('GET', `${root}/namespaces/default/pods/a/requests_per_second?metricLabelSelector=code%3D200`)).body;
  assert.deepEqual(one, { kind: 'MetricValueList', apiVersion: 'custom.metrics.k8s.io/v1beta2', metadata: {}, items: [{ describedObject: { kind: 'Pod', namespace: 'default', name: 'a', apiVersion: '/v1' }, metric: { name: 'requests_per_second', selector: { matchExpressions: [{ key: 'code', operator: 'In', values: ['200'] }] } }, timestamp: '2026-01-01T00:00:00Z', windowSeconds: 5, value: '1500m' }] });
  const resources = (await call('GET', root)).body['resources'] as { name: string }[];
  assert.ok(resources.some(({ name }) => name === 'pods/requests_per_second') && resources.some(({ name }) => name === 'namespaces/queue'));
});
