import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, resources } from '../../../api/mod.ts';
import { pollUntil } from '../../../kernel/mod.ts';
import { Scheduler } from '../../scheduler/mod.ts';
import { silentLogger } from '../../../kernel/mod.ts';
import { addNode, fakeNodeAgent, openTestCluster, type TestCluster } from '../testing/test-cluster.ts';

function deployment(name: string, replicas: number, image = 'app:1'): k8s.Deployment {
  const labels = { app: name };
  return {
    metadata: { name, namespace: 'default' },
    spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'app', image }] } } },
  };
}

async function until(cluster: TestCluster, name: string, what: string, isDone: (deployment: k8s.Deployment) => boolean): Promise<k8s.Deployment> {
  const probe = async (): Promise<k8s.Deployment | undefined> => {
    const current = await cluster.client.get(resources.deployments, { namespace: 'default', name }, cluster.signal);
    return isDone(current) ? current : undefined;
  };
  return pollUntil(what, probe, { timeoutMs: 10_000 }, cluster.signal);
}

test('a Deployment becomes a ReplicaSet with bound and ready pods', async () => {
  await using cluster = await openTestCluster({ extra: (client, informers) => [new Scheduler(client, informers, {}, silentLogger()), fakeNodeAgent(client, informers)] });
  await addNode(cluster.client, 'node-1');
  await cluster.client.create(resources.deployments, deployment('web', 30), cluster.signal);
  await pollUntil('30 bound pods', async () => {
    const pods = await cluster.client.list(resources.pods, { namespace: 'default' }, cluster.signal);
    return pods.items.filter(({ spec }) => spec?.nodeName === 'node-1').length === 30 || undefined;
  }, { timeoutMs: 10_000, intervalMs: 2 }, cluster.signal);
  const done = await until(cluster, 'web', 'all available', ({ status }) => status?.availableReplicas === 30 && status.observedGeneration === 1);
  assert.deepEqual(done.status?.conditions?.map(({ type, status, reason }) => `${type}=${status} ${reason ?? ''}`).toSorted(), ['Available=True MinimumReplicasAvailable', 'Progressing=True NewReplicaSetAvailable']);
});
