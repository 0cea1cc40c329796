import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, resources } from '../../../api/mod.ts';
import { pollUntil, silentLogger } from '../../../kernel/mod.ts';
import { Scheduler } from '../../scheduler/mod.ts';
import { addNode, fakeNodeAgent, openTestCluster } from '../testing/test-cluster.ts';

test('the autoscaler follows the load of a Deployment up and down', async () => {
  let millicoresEach = 100n;
  const pods = { list: (): k8s.Pod[] => [] };
  const metrics = {
    nodes: async () => [],
    pods: async () => pods.list().map(({ metadata }) => ({ namespace: 'default', name: metadata?.name ?? '', time: new Date().toISOString(), windowMs: 1, containers: [{ name: 'app', cpuNanocores: millicoresEach * 1_000_000n, memoryBytes: 0 }] })),
  };
  await using cluster = await openTestCluster({
    apiServer: { metrics },
    controllers: { autoscalerSyncMs: 50 },
    extra: (client, informers) => [new Scheduler(client, informers, {}, silentLogger()), fakeNodeAgent(client, informers)],
  });
  pods.list = () => cluster.informers.of(resources.pods).list('default').filter(({ status }) => status?.phase === 'Running');
  await addNode(cluster.client, 'node-1');
  const labels = { app: 'web' };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'app:1', resources: { requests: { cpu: '100m' } } }] } };
  await cluster.client.create<k8s.Deployment>(resources.deployments, { metadata: { name: 'web', namespace: 'default' }, spec: { replicas: 1, selector: { matchLabels: labels }, template } }, cluster.signal);
  await cluster.client.create<k8s.HorizontalPodAutoscaler>(
    resources.horizontalPodAutoscalers,
    {
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
        minReplicas: 1,
        maxReplicas: 4,
        metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } }],
        behavior: { scaleDown: { stabilizationWindowSeconds: 0 } },
      },
    },
    cluster.signal,
  );
  const reach = (what: string, replicas: number, limit: string): Promise<k8s.HorizontalPodAutoscaler> =>
    pollUntil(what, async () => {
      const deployment = await cluster.client.get(resources.deployments, { namespace: 'default', name: 'web' }, cluster.signal);
      const autoscaler = await cluster.client.get(resources.horizontalPodAutoscalers, { namespace: 'default', name: 'web' }, cluster.signal);
      return deployment.spec?.replicas === replicas && autoscaler.status?.currentReplicas === replicas && autoscaler.status.conditions?.some(({ reason }) => reason === limit) === true ? autoscaler : undefined;
    }, { timeoutMs: 30_000 }, cluster.signal);
  const busy = await reach('growth to the maximum', 4, 'TooManyReplicas');
  assert.deepEqual(busy.status?.currentMetrics?.map(({ resource }) => resource?.current), [{ averageUtilization: 100, averageValue: '100m' }]);
  assert.deepEqual(busy.status?.conditions?.map(({ type, status }) => `${type}=${status}`), ['AbleToScale=True', 'ScalingActive=True', 'ScalingLimited=True']);
  millicoresEach = 1n;
  await reach('shrinking to the minimum', 1, 'DesiredWithinRange');
  const expected = ['New size: 1; reason: All metrics below target', 'New size: 4; reason: cpu resource utilization (percentage of request) above target'];
  await pollUntil('both events', async () => {
    const { items } = await cluster.client.list(resources.events, { namespace: 'default' }, cluster.signal);
    return expected.every((message) => items.some((event) => event.reason === 'SuccessfulRescale' && event.message === message)) ? true : undefined;
  }, { timeoutMs: 30_000 }, cluster.signal);
});

test('the autoscaler follows a metric that pods make, and one of their Service', async () => {
  let perPod = 25;
  const pods = { list: (): k8s.Pod[] => [] };
  const customMetrics = {
    names: () => ['requests_per_second'],
    metrics: () => pods.list().map(({ metadata }) => ({ pod: metadata?.name ?? '', metric: 'requests_per_second', labels: {}, value: perPod, time: new Date().toISOString(), windowMs: 5000 })),
  };
  await using cluster = await openTestCluster({
    apiServer: { customMetrics },
    controllers: { autoscalerSyncMs: 50 },
    extra: (client, informers) => [new Scheduler(client, informers, {}, silentLogger()), fakeNodeAgent(client, informers)],
  });
  const { client, signal } = cluster;
  pods.list = () => cluster.informers.of(resources.pods).list('default').filter(({ status }) => status?.phase === 'Running');
  await addNode(client, 'node-1');
  const labels = { app: 'web' };
  const place = { name: 'web', namespace: 'default' };
  await client.create<k8s.Deployment>(resources.deployments, { metadata: place, spec: { replicas: 1, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'app:1' }] } } } }, signal);
  await client.create<k8s.Service>(resources.services, { metadata: place, spec: { selector: labels, ports: [{ port: 80 }] } }, signal);
  const metric = { name: 'requests_per_second' };
  const metrics: k8s.MetricSpec[] = [
    { type: 'Pods', pods: { metric, target: { type: 'AverageValue', averageValue: '10' } } },
    { type: 'Object', object: { describedObject: { apiVersion: 'v1', kind: 'Service', name: 'web' }, metric, target: { type: 'AverageValue', averageValue: '40' } } },
  ];
  await client.create<k8s.HorizontalPodAutoscaler>(resources.horizontalPodAutoscalers, { metadata: place, spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' }, maxReplicas: 3, metrics, behavior: { scaleDown: { stabilizationWindowSeconds: 0 } } } }, signal);
  const reach = (replicas: number): Promise<k8s.HorizontalPodAutoscaler> =>
    pollUntil(`${replicas} replicas`, async () => {
      const autoscaler = await client.get(resources.horizontalPodAutoscalers, place, signal);
      return autoscaler.status?.currentReplicas === replicas && autoscaler.status.desiredReplicas === replicas && autoscaler.status.currentMetrics?.length === 2 ? autoscaler : undefined;
    }, { timeoutMs: 30_000 }, signal);
  const grown = await reach(3);
  assert.deepEqual(grown.status?.currentMetrics?.map(({ pods: ofPods, object }) => ofPods?.current.averageValue ?? object?.metric.name), ['25', 'requests_per_second']);
  perPod = 1;
  await reach(1);
});
