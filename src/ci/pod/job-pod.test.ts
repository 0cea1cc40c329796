import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../api/mod.ts';
import type { JobRequest } from '../ports.ts';
import { podNameOf } from '../run/run-controller.ts';
import { toJobPod } from './job-pod.ts';
import { podStateOf } from './pod-state.ts';

const request: JobRequest = {
  run: { namespace: 'team', name: 'shop-1', uid: 'u1' },
  jobId: 'unit',
  podName: 'shop-1-unit',
  image: 'node:24-slim',
  env: { CI: 'true', PRICE: '$5 $(HOME)' },
  cachePath: '/var/cache/shop',
  hasDocker: false,
  services: [
    { name: 'db', image: 'postgres:16', env: { POSTGRES_PASSWORD: 'x' }, ports: [5432], healthCommand: 'pg_isready', readyTimeoutSeconds: 30 },
    { name: 'cache', image: 'redis:7', env: {}, ports: [6379], healthCommand: undefined, readyTimeoutSeconds: 120 },
    { name: 'quiet', image: 'x', env: {}, ports: [], healthCommand: undefined, readyTimeoutSeconds: 120 },
  ],
};

test('toJobPod() puts the job and its services into one pod that belongs to the run', () => {
  const pod = toJobPod(request, { certificateBundle: '/etc/ssl/bundle.crt' });
  assert.deepEqual(pod.metadata?.labels, { 'gantry.dev/workload': 'job', 'gantry.dev/run': 'shop-1', 'gantry.dev/job': 'unit' });
  assert.deepEqual(pod.metadata?.ownerReferences?.map(({ kind, uid, controller }) => ({ kind, uid, controller })), [{ kind: 'WorkflowRun', uid: 'u1', controller: true }]);
  assert.deepEqual(pod.spec?.hostAliases, [{ ip: '127.0.0.1', hostnames: ['db', 'cache', 'quiet'] }]);
  const [job, db, cache, quiet] = pod.spec?.containers ?? [];
  assert.deepEqual([job?.name, job?.image, job?.workingDir, job?.env], ['job', 'node:24-slim', '/workspace', [{ name: 'CI', value: 'true' }, { name: 'PRICE', value: '$$5 $$(HOME)' }]]);
  assert.deepEqual(job?.volumeMounts?.map(({ name, mountPath }) => `${name} ${mountPath}`), ['workspace /workspace', 'gantry /gantry', 'certificates /etc/gantry/ca-certificates.crt', 'cache /gantry-cache']);
  assert.deepEqual(db?.readinessProbe?.exec, { command: ['sh', '-c', 'pg_isready'] });
  assert.deepEqual(cache?.readinessProbe?.tcpSocket, { port: 6379 });
  assert.equal(quiet?.readinessProbe, undefined);
  assert.equal(toJobPod({ ...request, services: [] }, { certificateBundle: undefined }).spec?.hostAliases, undefined);
});

test('toJobPod() gives a job nothing of the host but certificates and its cache: never a socket, a namespace or privilege', () => {
  const { spec } = toJobPod(request, { certificateBundle: '/etc/ssl/bundle.crt' });
  const hostPaths = spec?.volumes?.flatMap(({ name, hostPath }) => (hostPath === undefined ? [] : [`${name} ${hostPath.path} ${hostPath.type ?? ''}`]));
  assert.deepEqual(hostPaths, ['certificates /etc/ssl/bundle.crt File', 'cache /var/cache/shop Directory']);
  assert.deepEqual([spec?.hostNetwork, spec?.hostPID, spec?.hostIPC, spec?.automountServiceAccountToken], [undefined, undefined, undefined, false]);
  for (const container of [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])]) {
    assert.equal(container.securityContext?.privileged ?? false, false);
    assert.deepEqual(container.securityContext?.capabilities?.add ?? [], []);
  }
  assert.ok(!JSON.stringify(spec).includes('docker.sock'));
});

test('toJobPod() gives a job that asks for Docker the socket of the driver, in the job container alone', () => {
  const { spec } = toJobPod({ ...request, hasDocker: true }, { certificateBundle: undefined });
  assert.deepEqual(spec?.volumes?.filter(({ csi }) => csi !== undefined), [{ name: 'docker', csi: { driver: 'docker.gantry.dev' } }]);
  assert.deepEqual(spec.volumes.flatMap(({ hostPath }) => hostPath?.path ?? []), ['/var/cache/shop']);
  const withSocket = spec.containers.filter(({ volumeMounts }) => volumeMounts?.some(({ mountPath }) => mountPath === '/var/run/docker.sock'));
  assert.deepEqual(withSocket.map(({ name, env }) => [name, env?.find((variable) => variable.name === 'DOCKER_HOST')?.value]), [['job', 'unix:///var/run/docker.sock']]);
});

test('podStateOf() tells starting, waiting, ready and failed apart', () => {
  const running = { running: { startedAt: '2026-01-01T00:00:00Z' } };
  const status = (name: string, state: k8s.ContainerState, ready = true): k8s.ContainerStatus => ({ name, state, ready, image: '', imageID: '', restartCount: 0 });
  const all = (db: k8s.ContainerStatus): k8s.Pod => ({ status: { containerStatuses: [status('job', running), db, status('service-cache', running), status('service-quiet', running)] } });
  const cases: [name: string, pod: k8s.Pod, expected: ReturnType<typeof podStateOf>][] = [
    ['nothing known', {}, { state: 'starting', containers: ['job', 'service-db', 'service-cache', 'service-quiet'] }],
    ['one is missing', all(status('service-db', { waiting: { reason: 'ContainerCreating' } }, false)), { state: 'starting', containers: ['service-db'] }],
    ['one is not ready', all(status('service-db', running, false)), { state: 'waiting', services: ['db'] }],
    ['all ready', all(status('service-db', running)), { state: 'ready' }],
    ['no such image', all(status('service-db', { waiting: { reason: 'ImagePullBackOff', message: 'there is no image postgres:16' } }, false)), { state: 'failed', container: 'service-db', reason: 'there is no image postgres:16' }],
    ['ended', all(status('service-db', { terminated: { exitCode: 1 } }, false)), { state: 'failed', container: 'service-db', reason: 'it ended with exit code 1' }],
    ['out of memory', all(status('service-db', { terminated: { exitCode: 137, reason: 'OOMKilled' } }, false)), { state: 'failed', container: 'service-db', reason: 'it used more memory than it may' }],
    ['evicted', { status: { phase: 'Failed', reason: 'Evicted', message: 'the node ran out of disk' } }, { state: 'failed', container: 'job', reason: 'the node ran out of disk' }],
  ];
  for (const [name, pod, expected] of cases) assert.deepEqual(podStateOf(pod, request.services), expected, name);
});

test('podNameOf() gives labels that differ wherever run, job or attempt differ', () => {
  assert.equal(podNameOf('shop-1', 'unit', 1), 'shop-1-unit');
  assert.equal(podNameOf('shop-1', 'unit', 2), 'shop-1-unit-2');
  const names = ['Unit', 'unit_', 'unit-', `x${'y'.repeat(90)}`, `x${'y'.repeat(91)}`].map((id) => podNameOf('shop-1', id, 3));
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.match(name, /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/);
});
