import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type k8s, resources, type Stored } from '../../api/mod.ts';
import { cancelled, pollUntil } from '../../kernel/mod.ts';
import { MemoryRuntime } from './testing/memory-runtime.ts';
import { openTestNode, testNodeName } from './testing/test-node.ts';

const signal = AbortSignal.timeout(120_000);
const app = (change: Partial<k8s.Container> = {}): k8s.Container => ({ name: 'app', image: 'app:1', ...change });
const isRunning = ({ status }: Stored<k8s.Pod>): boolean => status?.phase === 'Running';
const statusOf = ({ status }: Stored<k8s.Pod>, name = 'app'): k8s.ContainerStatus | undefined => status?.containerStatuses?.find((one) => one.name === name);

test('NodeAgent registers the node with capacity, conditions and a lease', async () => {
  await using node = await openTestNode(new MemoryRuntime());
  const { status, metadata } = await node.client.get(resources.nodes, { name: testNodeName }, signal);
  assert.equal(metadata.labels?.['kubernetes.io/hostname'], testNodeName);
  assert.equal(status?.daemonEndpoints?.kubeletEndpoint?.Port, node.agent.listener.port);
  assert.deepEqual(status?.conditions?.map(({ type, status: value }) => [type, value]), [['MemoryPressure', 'False'], ['DiskPressure', 'False'], ['PIDPressure', 'False'], ['Ready', 'True']]);
  assert.match(status?.capacity?.['memory'] ?? '', /^\d+Ki$/);
  const lease = await node.client.get(resources.leases, { namespace: 'kube-node-lease', name: testNodeName }, signal);
  assert.equal(lease.spec?.holderIdentity, testNodeName);
});

test('NodeAgent runs a pod and reports it as Kubernetes does', async () => {
  const runtime = new MemoryRuntime();
  await using node = await openTestNode(runtime);
  await node.createPod('web', { containers: [app({ resources: { requests: { cpu: '100m' } } })] });
  const pod = await node.waitPod('web', 'Running', isRunning);
  const { id } = runtime.find('app');
  const [sandbox] = await runtime.listSandboxes();
  assert.equal(pod.status?.podIP, sandbox?.ip);
  assert.equal(pod.status?.qosClass, 'Burstable');
  assert.deepEqual(pod.status?.conditions?.map(({ type, status }) => [type, status]), [['PodReadyToStartContainers', 'True'], ['Initialized', 'True'], ['Ready', 'True'], ['ContainersReady', 'True'], ['PodScheduled', 'True']]);
  const status = statusOf(pod);
  assert.deepEqual(
    { ...status, state: Object.keys(status?.state ?? {}) },
    { name: 'app', image: 'app:1', imageID: `sha256:${'1'.repeat(64)}`, containerID: `gantry://${id}`, restartCount: 0, ready: true, started: true, state: ['running'], lastState: {} },
  );
});

test('NodeAgent replaces a container that exits and keeps what it was', async () => {
  const runtime = new MemoryRuntime();
  await using node = await openTestNode(runtime);
  await node.createPod('web', { containers: [app()] });
  await node.waitPod('web', 'Running', isRunning);
  runtime.exit(runtime.find('app').id, 3);
  const once = await node.waitPod('web', 'restarted', (pod) => statusOf(pod)?.restartCount === 1 && statusOf(pod)?.state?.running !== undefined);
  assert.equal(statusOf(once)?.lastState?.terminated?.exitCode, 3);
  assert.equal(statusOf(once)?.lastState?.terminated?.reason, 'Error');
  runtime.exit(runtime.find('app').id, 4);
  const waiting = await node.waitPod('web', 'waiting', (pod) => statusOf(pod)?.state?.waiting?.reason === 'CrashLoopBackOff');
  assert.match(statusOf(waiting)?.state?.waiting?.message ?? '', /^back-off 10s restarting failed container=app/);
  assert.equal(waiting.status?.phase, 'Running');
});

test('NodeAgent deletes a pod only after it stopped, and all of it', async () => {
  const runtime = new MemoryRuntime();
  const drained: string[] = [];
  await using node = await openTestNode(runtime, { drain: { drained: async (ip) => void drained.push(ip) } });
  await node.createPod('web', { containers: [app({ lifecycle: { preStop: { exec: { command: ['bye'] } } } })], terminationGracePeriodSeconds: 7 });
  const { status } = await node.waitPod('web', 'Running', isRunning);
  await node.client.delete(resources.pods, { namespace: 'default', name: 'web' }, {}, signal);
  await node.waitGone('web');
  assert.deepEqual(drained, [status?.podIP]);
  assert.deepEqual(runtime.calls.slice(-2), ['exec app bye', 'stop app 7']);
  assert.deepEqual([runtime.containers.size, runtime.sandboxes.size], [0, 0]);
});

test('NodeAgent ends a pod that a finalizer keeps, also across a restart, and leaves nothing of it', async () => {
  const runtime = new MemoryRuntime();
  await using node = await openTestNode(runtime);
  const ref = { namespace: 'default', name: 'web' };
  await node.createPod('web', { containers: [app()], volumes: [{ name: 'work', emptyDir: {} }] }, { finalizers: ['example.com/hold'] });
  await node.waitPod('web', 'Running', isRunning);
  let isStopping = false;
  runtime.stopContainer = (_id, _seconds, stopped) => new Promise((_resolve, reject) => {
    isStopping = true;
    stopped.addEventListener('abort', () => reject(cancelled(stopped)), { once: true });
  });
  await node.client.delete(resources.pods, ref, {}, signal);
  await pollUntil('the stop to begin', () => isStopping || undefined, { timeoutMs: 30_000 }, signal);
  runtime.stopContainer = async (id) => runtime.exit(id, 0);
  await node.restart();
  await node.waitPod('web', 'stopped', ({ status }) => status?.phase === 'Succeeded' && runtime.sandboxes.size === 0);
  await pollUntil('the volumes to go', async () => ((await readdir(join(node.folder, 'data'))).length === 0 ? true : undefined), { timeoutMs: 30_000 }, signal);
  await node.client.patch(resources.pods, ref, { type: 'merge', body: { metadata: { finalizers: null } } }, signal);
  await node.waitGone('web');
});

test('NodeAgent restarted finds what runs and starts nothing twice', async () => {
  const runtime = new MemoryRuntime();
  await using node = await openTestNode(runtime);
  await node.createPod('web', { containers: [app({ readinessProbe: { exec: { command: ['check'] } } })] });
  const before = await node.waitPod('web', 'ready', (pod) => statusOf(pod)?.ready === true);
  const calls = runtime.calls.filter((call) => !call.startsWith('exec'));
  runtime.onExec = () => new Promise(() => undefined);
  await node.restart();
  await node.createPod('late', { containers: [app()] });
  await node.waitPod('late', 'Running', isRunning);
  const after = await node.pod('web');
  assert.deepEqual(after?.status, before.status);
  assert.deepEqual(runtime.calls.filter((call) => !call.startsWith('exec')).slice(0, calls.length + 1), [...calls, 'create app 0']);
});

test('NodeAgent removes what pods left that were deleted while it was away', async () => {
  const runtime = new MemoryRuntime();
  await runtime.createSandbox({ podUid: 'gone', namespace: 'default', name: 'gone', hostname: 'gone', labels: {}, hostNetwork: false, hostUsers: true, dns: { servers: [], searches: [], options: [] }, extraHosts: [], portMappings: [], sysctls: {}, cgroup: { qos: 'BestEffort', workload: 'application' } });
  await using node = await openTestNode(runtime);
  await pollUntil('the sandbox to go', () => (runtime.sandboxes.size === 0 ? true : undefined), { timeoutMs: 30_000 }, signal);
  assert.ok(node.agent);
});

test('NodeAgent runs init containers in order and finishes a pod that must not run again', async () => {
  const runtime = new MemoryRuntime();
  runtime.onStart = () => 0;
  await using node = await openTestNode(runtime);
  await node.createPod('job', { restartPolicy: 'Never', initContainers: [{ name: 'one', image: 'i' }, { name: 'two', image: 'i' }], containers: [app()] });
  const pod = await node.waitPod('job', 'Succeeded', ({ status }) => status?.phase === 'Succeeded');
  assert.deepEqual(runtime.calls.filter((call) => call.startsWith('start')), ['start one 0', 'start two 0', 'start app 0']);
  assert.equal(statusOf(pod)?.state?.terminated?.reason, 'Completed');
  assert.equal(pod.status?.conditions?.find(({ type }) => type === 'Ready')?.reason, 'PodCompleted');
});

test('NodeAgent waits for a missing ConfigMap and goes on when it comes', async () => {
  const runtime = new MemoryRuntime();
  await using node = await openTestNode(runtime);
  await node.createPod('web', { containers: [app({ env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'settings', key: 'a' } } }] })] });
  const waiting = await node.waitPod('web', 'waiting for its configuration', (pod) => statusOf(pod)?.state?.waiting?.reason === 'CreateContainerConfigError');
  assert.equal(statusOf(waiting)?.state?.waiting?.message, 'configmap "settings" not found');
  await node.client.create<k8s.ConfigMap>(resources.configMaps, { metadata: { namespace: 'default', name: 'settings' }, data: { a: 'x' } }, signal);
  await node.waitPod('web', 'Running', isRunning);
  const spec = runtime.specs.get(runtime.find('app').id);
  assert.deepEqual(spec?.env.filter(({ name }) => ['A', 'HOSTNAME'].includes(name)), [{ name: 'HOSTNAME', value: 'web' }, { name: 'A', value: 'x' }]);
});

test('NodeAgent shows changed ConfigMaps in mounted volumes', async () => {
  const runtime = new MemoryRuntime();
  await using node = await openTestNode(runtime);
  const ref = { namespace: 'default', name: 'settings' };
  await node.client.create<k8s.ConfigMap>(resources.configMaps, { metadata: ref, data: { 'a.conf': 'one', old: '' } }, signal);
  await node.createPod('web', { containers: [app({ volumeMounts: [{ name: 'conf', mountPath: '/conf' }] })], volumes: [{ name: 'conf', configMap: { name: 'settings' } }] });
  await node.waitPod('web', 'Running', isRunning);
  const folder = runtime.specs.get(runtime.find('app').id)?.mounts.find(({ containerPath }) => containerPath === '/conf')?.hostPath ?? '';
  assert.equal(await readFile(join(folder, 'a.conf'), 'utf8'), 'one');
  await node.client.patch(resources.configMaps, ref, { type: 'merge', body: { data: { 'a.conf': 'two', old: null } } }, signal);
  await pollUntil('the new content', async () => ((await readFile(join(folder, 'a.conf'), 'utf8')) === 'two' ? true : undefined), { timeoutMs: 30_000 }, signal);
  await assert.rejects(readFile(join(folder, 'old')));
});

test('NodeAgent follows readiness and replaces what is not alive', async () => {
  const runtime = new MemoryRuntime();
  let isReady = false;
  await using server = Object.assign(createServer((_request, response) => void response.writeHead(isReady ? 200 : 503).end('not yet')), {
    async [Symbol.asyncDispose]() {
      server.close();
    },
  });
  const port = await new Promise<number>((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)));
  await using node = await openTestNode(runtime);
  runtime.onExec = (_container, { command }) => (command[0] === 'alive' ? 1 : 0);
  await node.createPod('web', {
    hostNetwork: true,
    containers: [app({ ports: [{ name: 'http', containerPort: port }], readinessProbe: { httpGet: { port: 'http', path: '/ready' } } }), app({ name: 'sick', livenessProbe: { exec: { command: ['alive'] }, failureThreshold: 1, periodSeconds: 1 } })],
  });
  const unready = await node.waitPod('web', 'restarted', (pod) => (statusOf(pod, 'sick')?.restartCount ?? 0) === 1);
  assert.equal(statusOf(unready)?.ready, false);
  assert.equal(unready.status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'False');
  isReady = true;
  await node.waitPod('web', 'ready', (pod) => statusOf(pod)?.ready === true);
});

test('NodeAgent reports images that cannot be had', async () => {
  await using node = await openTestNode(new MemoryRuntime());
  await node.createPod('web', { containers: [app({ image: 'missing:1' }), app({ name: 'never', image: 'missing:2', imagePullPolicy: 'Never' }), app({ name: 'bad', image: 'UPPER:1' })] });
  const reasons = ['ErrImagePull', 'ErrImageNeverPull', 'InvalidImageName'];
  const pod = await node.waitPod('web', 'refused', (found) => found.status?.containerStatuses?.every(({ state }) => reasons.includes(state?.waiting?.reason ?? '')) === true);
  assert.deepEqual(pod.status?.containerStatuses?.map(({ state }) => state?.waiting?.reason), reasons);
  assert.equal(pod.status?.phase, 'Pending');
});

test('NodeAgent refuses what it does not honour and says so', async () => {
  const runtime = new MemoryRuntime();
  await using node = await openTestNode(runtime);
  await node.createPod('web', { containers: [app({ resources: { limits: { 'example.com/gpu': '1' } } })] });
  const pod = await node.waitPod('web', 'Failed', ({ status }) => status?.phase === 'Failed');
  assert.equal(pod.status?.reason, 'UnsupportedPodField');
  assert.match(pod.status?.message ?? '', /spec\.containers\[0\]\.resources: the resource example\.com\/gpu is not offered/);
  assert.deepEqual(runtime.calls, []);
});

test('NodeAgent ends a pod whose time is over', async () => {
  const runtime = new MemoryRuntime();
  await using node = await openTestNode(runtime);
  await node.createPod('web', { activeDeadlineSeconds: 1, containers: [app()] });
  const pod = await node.waitPod('web', 'Failed', ({ status }) => status?.phase === 'Failed' && status.containerStatuses?.[0]?.state?.terminated !== undefined);
  assert.equal(pod.status?.reason, 'DeadlineExceeded');
});
