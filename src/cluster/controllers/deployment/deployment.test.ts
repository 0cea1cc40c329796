import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, resources } from '../../../api/mod.ts';
import { pollUntil, silentLogger } from '../../../kernel/mod.ts';
import { Scheduler } from '../../scheduler/mod.ts';
import { addNode, fakeNodeAgent, openTestCluster, type TestCluster } from '../testing/test-cluster.ts';

/** A cluster with one node whose pods become ready, unless their image is `broken`. */
async function open(): Promise<TestCluster> {
  const isReady = ({ spec }: k8s.Pod): boolean => spec?.containers[0]?.image !== 'broken';
  const cluster = await openTestCluster({ extra: (client, informers) => [new Scheduler(client, informers, {}, silentLogger()), fakeNodeAgent(client, informers, isReady)] });
  await addNode(cluster.client, 'node-1');
  return cluster;
}

function deployment(name: string, spec: Partial<k8s.DeploymentSpec> = {}, image = 'app:1'): k8s.Deployment {
  const labels = { app: name };
  return { metadata: { name, namespace: 'default' }, spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'app', image }] } }, ...spec } };
}

function until(cluster: TestCluster, name: string, what: string, isDone: (deployment: k8s.Deployment) => boolean): Promise<k8s.Deployment> {
  const probe = async (): Promise<k8s.Deployment | undefined> => {
    const current = await cluster.client.get(resources.deployments, { namespace: 'default', name }, cluster.signal);
    return isDone(current) && current.status?.observedGeneration === current.metadata.generation ? current : undefined;
  };
  return pollUntil(what, probe, { timeoutMs: 30_000 }, cluster.signal);
}

const isRolledOut = ({ spec, status }: k8s.Deployment): boolean =>
  status?.updatedReplicas === spec?.replicas && status?.replicas === spec?.replicas && status?.availableReplicas === spec?.replicas && progressing({ status }) === 'NewReplicaSetAvailable';

const progressing = ({ status }: k8s.Deployment): string | undefined => status?.conditions?.find(({ type }) => type === 'Progressing')?.reason;

async function setImage(cluster: TestCluster, name: string, image: string): Promise<void> {
  const body = { spec: { template: { spec: { containers: [{ name: 'app', image }] } } } };
  await cluster.client.patch(resources.deployments, { namespace: 'default', name }, { type: 'strategic', body }, cluster.signal);
}

test('a Deployment becomes a ReplicaSet with bound and ready pods', async () => {
  await using cluster = await open();
  await cluster.client.create(resources.deployments, deployment('web', { replicas: 30 }), cluster.signal);
  const done = await until(cluster, 'web', 'all available', isRolledOut);
  assert.deepEqual(done.status?.conditions?.map(({ type, status, reason }) => `${type}=${status} ${reason ?? ''}`).toSorted(), ['Available=True MinimumReplicasAvailable', 'Progressing=True NewReplicaSetAvailable']);
  const { items: sets } = await cluster.client.list(resources.replicaSets, { namespace: 'default' }, cluster.signal);
  const { items: pods } = await cluster.client.list(resources.pods, { namespace: 'default' }, cluster.signal);
  assert.deepEqual([sets.length, pods.length], [1, 30]);
});

test('a rolling update never drops below the minimum and a Service follows it', async () => {
  await using cluster = await open();
  const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };
  await cluster.client.create(resources.deployments, deployment('web', { replicas: 3, strategy }), cluster.signal);
  await cluster.client.create<k8s.Service>(resources.services, { metadata: { name: 'web', namespace: 'default' }, spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } }, cluster.signal);
  await until(cluster, 'web', 'the first version', isRolledOut);
  const readyOnes = (): number => cluster.informers.of(resources.pods).list('default').filter(({ metadata, status }) => metadata.deletionTimestamp === undefined && status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true).length;
  let fewest = readyOnes();
  const stop = cluster.informers.of(resources.pods).onChange(() => (fewest = Math.min(fewest, readyOnes())));
  await setImage(cluster, 'web', 'app:2');
  await until(cluster, 'web', 'the second version', isRolledOut);
  stop();
  assert.equal(fewest, 3);
  const images = (await cluster.client.list(resources.pods, { namespace: 'default' }, cluster.signal)).items.filter(({ metadata }) => metadata.deletionTimestamp === undefined).map(({ spec }) => spec?.containers[0]?.image);
  assert.deepEqual(images, ['app:2', 'app:2', 'app:2']);
  await pollUntil('the slice to hold three ready endpoints', async () => {
    const { items } = await cluster.client.list(resources.endpointSlices, { namespace: 'default' }, cluster.signal);
    const endpoints = items.flatMap((slice) => slice.endpoints ?? []);
    return items.length === 1 && endpoints.length === 3 && endpoints.every(({ conditions }) => conditions?.ready === true) ? true : undefined;
  }, { timeoutMs: 30_000 }, cluster.signal);
});

test('a Deployment that makes no progress says so after its deadline and recovers when taken back', async () => {
  await using cluster = await open();
  await cluster.client.create(resources.deployments, deployment('web', { replicas: 2, progressDeadlineSeconds: 1 }), cluster.signal);
  await until(cluster, 'web', 'the first version', isRolledOut);
  await setImage(cluster, 'web', 'broken');
  const stuck = await until(cluster, 'web', 'the deadline', (current) => progressing(current) === 'ProgressDeadlineExceeded');
  assert.ok((stuck.status?.availableReplicas ?? 0) >= 2, 'the old version still serves');
  await setImage(cluster, 'web', 'app:1');
  await until(cluster, 'web', 'the first version again', isRolledOut);
});

test('deleting a Deployment takes its ReplicaSets and pods with it, and a lost pod is replaced', async () => {
  await using cluster = await open();
  await cluster.client.create(resources.deployments, deployment('web', { replicas: 2 }), cluster.signal);
  await until(cluster, 'web', 'the first version', isRolledOut);
  const pods = async (): Promise<string[]> => (await cluster.client.list(resources.pods, { namespace: 'default' }, cluster.signal)).items.map(({ metadata }) => metadata.name);
  const [victim = ''] = await pods();
  await cluster.client.delete(resources.pods, { namespace: 'default', name: victim }, { gracePeriodSeconds: 0 }, cluster.signal);
  await pollUntil('a new pod', async () => (((names) => names.length === 2 && !names.includes(victim))(await pods()) ? true : undefined), { timeoutMs: 30_000 }, cluster.signal);
  await cluster.client.delete(resources.deployments, { namespace: 'default', name: 'web' }, { propagationPolicy: 'Background' }, cluster.signal);
  await pollUntil('everything to go', async () => ((await pods()).length === 0 && (await cluster.client.list(resources.replicaSets, { namespace: 'default' }, cluster.signal)).items.length === 0 ? true : undefined), { timeoutMs: 30_000 }, cluster.signal);
});
