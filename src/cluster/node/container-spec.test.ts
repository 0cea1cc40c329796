import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';
import { toContainerSpec } from './container-spec.ts';
import type { ImageSummary, PodContainerSpec } from './ports.ts';
import { oomScoreAdj, toContainerResources, toPodCgroup } from './resources.ts';
import { toPodDns, toSandboxSpec } from './sandbox-spec.ts';
import { qosClassOf } from './qos.ts';
import { testImageId } from './testing/pod-views.ts';

const image: ImageSummary = { id: testImageId, references: [], user: '', entrypoint: ['/entry'], command: ['serve'], env: ['PATH=/bin', 'A=image'], workingDir: '/srv' };
const limits = { nodeMemoryBytes: 8 * 2 ** 30, podPidsLimit: 100 };

function specOf(container: Partial<k8s.Container>, pod: Partial<k8s.PodSpec> = {}, change: Partial<ImageSummary> = {}): PodContainerSpec {
  const full: k8s.Container = { name: 'app', image: 'app:1', ...container };
  const facts = { pod: { metadata: { name: 'web', namespace: 'default', uid: 'uid' }, spec: { containers: [full], ...pod } }, nodeName: 'n', nodeIp: '10.0.0.1', podIp: '10.1.0.2' };
  return toContainerSpec({ facts, container: full, sandboxId: 'box', attempt: 0, backoffSeconds: 0, image: { ...image, ...change }, environment: new Map([['A', 'pod']]), mounts: [], limits });
}

test('toContainerSpec() merges command and arguments of image and pod', () => {
  const table: [Partial<k8s.Container>, string[]][] = [
    [{}, ['/entry', 'serve']],
    [{ args: ['x'] }, ['/entry', 'x']],
    [{ command: ['run'] }, ['run']],
    [{ command: ['run'], args: ['x', '$(A)', '$$(A)', '$(NONE)'] }, ['run', 'x', 'pod', '$(A)', '$(NONE)']],
  ];
  for (const [container, args] of table) assert.deepEqual(specOf(container).args, args);
  assert.throws(() => specOf({}, {}, { entrypoint: [], command: [] }), (error) => isError(error, 'invalid'));
});

test('toContainerSpec() decides who runs', () => {
  const table: [k8s.SecurityContext, k8s.PodSecurityContext, string, string][] = [
    [{}, {}, 'app:staff', 'app:staff'],
    [{ runAsUser: 5 }, {}, 'app:staff', '5'],
    [{ runAsUser: 5 }, { runAsUser: 6, runAsGroup: 7 }, '', '5:7'],
    [{}, { runAsGroup: 7 }, '', '0:7'],
    [{ runAsNonRoot: true }, { runAsUser: 6 }, 'root', '6'],
    [{ runAsNonRoot: true }, {}, '12', '12'],
  ];
  for (const [securityContext, pod, user, expected] of table) assert.equal(specOf({ securityContext }, { securityContext: pod }, { user }).user, expected);
  for (const [securityContext, user] of [[{ runAsNonRoot: true }, ''], [{ runAsNonRoot: true }, 'root'], [{ runAsNonRoot: true }, 'app'], [{ runAsNonRoot: true, runAsUser: 0 }, '5']] as const) {
    assert.throws(() => specOf({ securityContext }, {}, { user }), (error) => isError(error, 'invalid'), user);
  }
});

test('toContainerSpec() sets variables, groups and security', () => {
  const spec = specOf(
    { securityContext: { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] } }, workingDir: '/w' },
    { hostname: 'named', securityContext: { supplementalGroups: [1, 2], fsGroup: 2, seccompProfile: { type: 'Unconfined' } } },
  );
  assert.deepEqual(spec.env, [{ name: 'PATH', value: '/bin' }, { name: 'A', value: 'pod' }, { name: 'HOSTNAME', value: 'named' }]);
  assert.deepEqual([spec.supplementalGroups, spec.workingDir], [[1, 2], '/w']);
  assert.deepEqual(spec.security, { isPrivileged: false, isReadOnlyRoot: true, allowPrivilegeEscalation: false, addCapabilities: ['NET_ADMIN'], dropCapabilities: ['ALL'], seccomp: 'unconfined' });
});

test('qosClassOf() and the cgroup follow requests and limits', () => {
  const pod = (...resources: (k8s.ResourceRequirements | undefined)[]): k8s.PodSpec => ({ containers: resources.map((one, index) => ({ name: `c${index}`, ...(one === undefined ? {} : { resources: one }) })) });
  const both = { cpu: '500m', memory: '64Mi' };
  const table: [k8s.PodSpec, string, ReturnType<typeof toPodCgroup>][] = [
    [pod(undefined), 'BestEffort', { qos: 'BestEffort', workload: 'application', cpuShares: 2 }],
    [pod({ requests: { cpu: '250m' } }, undefined), 'Burstable', { qos: 'Burstable', workload: 'application', cpuShares: 256 }],
    [pod({ limits: both, requests: both }, { limits: both }), 'Guaranteed', { qos: 'Guaranteed', workload: 'application', cpuShares: 1024, cpuQuotaMicros: 100_000, memoryLimitBytes: 128 << 20 }],
    [pod({ limits: both, requests: { cpu: '100m' } }), 'Burstable', { qos: 'Burstable', workload: 'application', cpuShares: 102, cpuQuotaMicros: 50_000, memoryLimitBytes: 64 << 20 }],
  ];
  for (const [spec, qos, cgroup] of table) assert.deepEqual([qosClassOf(spec), toPodCgroup(spec, 'application')], [qos, cgroup]);
  const burstable = pod({ requests: { memory: '2Gi' }, limits: { cpu: '2' } });
  assert.deepEqual(toContainerResources(burstable, burstable.containers[0] ?? { name: '' }, limits), { cpuShares: 2048, cpuQuotaMicros: 200_000, cpuPeriodMicros: 100_000, pidsLimit: 100, oomScoreAdj: 750 });
  assert.deepEqual([pod(undefined), pod({ limits: both })].map((spec) => oomScoreAdj(spec, spec.containers[0] ?? { name: '' }, limits.nodeMemoryBytes)), [1000, -997]);
});

const dns = { clusterServers: ['10.96.0.10'], clusterDomain: 'cluster.local', host: { servers: ['192.0.2.1'], searches: ['example.org'], options: ['timeout:1'] } };

test('toPodDns() follows the policy and the pod', () => {
  const cluster = { servers: ['10.96.0.10'], searches: ['ns.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'example.org'], options: ['ndots:5'] };
  const table: [Partial<k8s.PodSpec>, unknown][] = [
    [{}, cluster],
    [{ hostNetwork: true }, dns.host],
    [{ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }, cluster],
    [{ dnsPolicy: 'Default' }, dns.host],
    [{ dnsPolicy: 'None', dnsConfig: { nameservers: ['192.0.2.9'], searches: ['a.b'], options: [{ name: 'ndots', value: '2' }, { name: 'rotate' }] } }, { servers: ['192.0.2.9'], searches: ['a.b'], options: ['ndots:2', 'rotate'] }],
    [{ dnsConfig: { options: [{ name: 'ndots', value: '1' }] } }, { ...cluster, options: ['ndots:1'] }],
  ];
  for (const [spec, expected] of table) assert.deepEqual(toPodDns({ containers: [], ...spec }, 'ns', dns), expected);
});

test('toSandboxSpec() names the host, publishes host ports and puts CI work below', () => {
  const spec = toSandboxSpec(
    {
      metadata: { name: 'web-0', namespace: 'ns', uid: 'u', labels: { 'gantry.dev/workload': 'job' } },
      spec: { subdomain: 'web', setHostnameAsFQDN: true, hostAliases: [{ ip: '192.0.2.1', hostnames: ['a', 'b'] }], containers: [{ name: 'c', ports: [{ containerPort: 80, hostPort: 8080, hostIP: '127.0.0.1' }, { containerPort: 53, protocol: 'UDP' }] }] },
    },
    dns,
  );
  assert.deepEqual(
    [spec.hostname, spec.portMappings, spec.extraHosts, spec.cgroup.workload],
    ['web-0.web.ns.svc.cluster.local', [{ hostIp: '127.0.0.1', hostPort: 8080, containerPort: 80, protocol: 'tcp' }], [{ ip: '192.0.2.1', names: ['a', 'b'] }], 'job'],
  );
});
