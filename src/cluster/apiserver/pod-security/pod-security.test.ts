import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../../api/mod.ts';
import { type ApiCaller, apiCaller, patchHeaders } from '../testing/api-caller.ts';
import { openTestApiServer } from '../testing/test-api-server.ts';
import { type Level, violations } from './checks.ts';

const container = (more: object = {}): k8s.Container => ({ name: 'c', image: 'i', ...more });
const secure = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } };

test('violations() says what each level forbids, in the words of Kubernetes', () => {
  const table: [level: Level, spec: object, expected: string][] = [
    ['privileged', { hostNetwork: true, containers: [container({ securityContext: { privileged: true } })] }, ''],
    ['baseline', { containers: [container()] }, ''],
    ['baseline', { hostNetwork: true, hostPID: true, containers: [container()] }, 'host namespaces (hostNetwork=true, hostPID=true)'],
    ['baseline', { containers: [container({ securityContext: { privileged: true } }), { ...container({ securityContext: { privileged: true } }), name: 'd' }] }, 'privileged (containers "c", "d" must not set securityContext.privileged=true)'],
    ['baseline', { containers: [container({ securityContext: { capabilities: { add: ['NET_ADMIN', 'CHOWN', 'BPF'] } } })] }, 'non-default capabilities (container "c" must not include "BPF", "NET_ADMIN" in securityContext.capabilities.add)'],
    ['baseline', { volumes: [{ name: 'v', hostPath: { path: '/' } }], containers: [container()] }, 'hostPath volumes (volume "v")'],
    ['baseline', { containers: [container({ ports: [{ containerPort: 1, hostPort: 80 }] })] }, 'hostPort (container "c" uses hostPort 80)'],
    ['baseline', { securityContext: { seccompProfile: { type: 'Unconfined' } }, containers: [container()] }, 'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")'],
    ['baseline', { securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] }, containers: [container()] }, 'forbidden sysctls (kernel.msgmax)'],
    ['baseline', { initContainers: [container({ securityContext: { procMount: 'Unmasked' } })], containers: [container()] }, 'procMount (container "c" must not set securityContext.procMount to "Unmasked")'],
    ['restricted', { containers: [container({ securityContext: secure })] }, ''],
    [
      'restricted',
      { containers: [container()] },
      'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
    ],
    ['restricted', { securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' }, runAsUser: 0 }, containers: [container({ securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] } } })] }, 'runAsUser=0 (pod must not set runAsUser=0)'],
    ['restricted', { volumes: [{ name: 'v', hostPath: { path: '/' } }, { name: 'ok', emptyDir: {} }], containers: [container({ securityContext: secure })] }, 'restricted volume types (volume "v" uses restricted volume type "hostPath")'],
    ['restricted', { securityContext: { runAsNonRoot: false }, containers: [container({ securityContext: secure })] }, 'runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)'],
  ];
  for (const [level, spec, expected] of table) assert.equal(violations(level, spec as k8s.PodSpec), expected);
});

test('violations() knows what the standards were in older releases', () => {
  const sysctl = { securityContext: { sysctls: [{ name: 'net.ipv4.tcp_keepalive_time', value: '1' }] }, containers: [container()] };
  const probed = { containers: [container({ livenessProbe: { httpGet: { host: 'a', port: 1 } }, lifecycle: { preStop: { tcpSocket: { host: 'b', port: 1 } } } })] };
  const plain = { containers: [container({ securityContext: { runAsUser: 0, runAsNonRoot: true, capabilities: { add: ['NET_ADMIN'] } } })] };
  const windows = { os: { name: 'windows' }, containers: [container({ securityContext: { runAsNonRoot: true } })] };
  const engine = { securityContext: { seLinuxOptions: { type: 'container_engine_t' } }, containers: [container()] };
  const table: [level: Level, minor: number, spec: object, expected: string][] = [
    ['baseline', 28, sysctl, 'forbidden sysctls (net.ipv4.tcp_keepalive_time)'],
    ['baseline', 29, sysctl, ''],
    ['baseline', 33, probed, ''],
    ['baseline', 34, probed, 'probe or lifecycle host (container "c" uses probe or lifecycle hosts "a", "b")'],
    ['baseline', 99, probed, 'probe or lifecycle host (container "c" uses probe or lifecycle hosts "a", "b")'],
    ['baseline', 30, engine, 'seLinuxOptions (pod must not set securityContext.seLinuxOptions.type to "container_engine_t")'],
    ['baseline', 31, engine, ''],
    ['restricted', 7, plain, 'non-default capabilities (container "c" must not include "NET_ADMIN" in securityContext.capabilities.add)'],
    ['restricted', 18, plain, 'non-default capabilities (container "c" must not include "NET_ADMIN" in securityContext.capabilities.add), allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false)'],
    ['restricted', 22, plain, 'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]; container "c" must not include "NET_ADMIN" in securityContext.capabilities.add), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'],
    ['restricted', 25, windows, ''],
  ];
  for (const [level, minor, spec, expected] of table) assert.equal(violations(level, spec as k8s.PodSpec, minor), expected, `${level} v1.${minor}`);
});

const pod = (name: string, more: object = {}): object => ({ metadata: { name }, spec: { containers: [container(more)] } });
const label = (values: Record<string, string>): object => ({ metadata: { labels: Object.fromEntries(Object.entries(values).map(([name, value]) => [`pod-security.kubernetes.io/${name}`, value])) } });

test('the labels of a namespace decide: pods are refused, warned about, or let through', async () => {
  await using server = await openTestApiServer();
  const call: ApiCaller = apiCaller(server);
  const pods = '/api/v1/namespaces/default/pods';
  const host = { metadata: { name: 'host' }, spec: { hostNetwork: true, containers: [container()] } };
  assert.equal((await call('POST', pods, pod('early'))).code, 201);
  await call('PATCH', '/api/v1/namespaces/default', label({ enforce: 'baseline', warn: 'restricted', 'warn-version': 'v1.34' }), patchHeaders.merge);
  const refused = await call('POST', pods, host);
  assert.deepEqual([refused.code, refused.body['message']], [403, 'pods "host" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)']);
  const warned = await call('POST', pods, pod('a'));
  assert.deepEqual([warned.code, warned.headers.get('warning')?.startsWith(String.raw`299 - "would violate PodSecurity \"restricted:v1.34\": allowPrivilegeEscalation != false (container \"c\"`)], [201, true]);
  const deployment = { metadata: { name: 'd' }, spec: { selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, spec: { hostNetwork: true, containers: [container()] } } } };
  const made = await call('POST', '/apis/apps/v1/namespaces/default/deployments', deployment);
  assert.deepEqual([made.code, made.headers.get('warning')?.includes('host namespaces (hostNetwork=true)')], [201, true], 'what makes pods is warned about only');
  assert.equal((await call('POST', pods, pod('good', { securityContext: secure }))).headers.get('warning'), null);
  const raised = await call('PATCH', '/api/v1/namespaces/default', label({ enforce: 'restricted' }), patchHeaders.merge);
  assert.match(raised.headers.get('warning') ?? '', /existing pods in namespace \\"default\\" violate the new PodSecurity enforce level \\"restricted:latest\\".*early: allowPrivilegeEscalation/);
  assert.equal((await call('PATCH', `${pods}/early`, { metadata: { labels: { x: 'y' } } }, patchHeaders.merge)).code, 200, 'pods that exist stay');
  const image = await call('PATCH', `${pods}/early`, { spec: { containers: [{ name: 'c', image: 'other' }] } }, patchHeaders.strategic);
  assert.match(String(image.body['message']), /violates PodSecurity "restricted:latest": allowPrivilegeEscalation/, 'a changed image is judged');
  const debug = await call('PATCH', `${pods}/good/ephemeralcontainers`, { spec: { ephemeralContainers: [{ ...container(), name: 'debug' }] } }, patchHeaders.strategic);
  assert.deepEqual([debug.code, /violates PodSecurity "restricted:latest": .*container "debug"/.test(String(debug.body['message']))], [403, true], 'so is a container that comes to a running pod');
  await call('PATCH', '/api/v1/namespaces/default', label({ 'enforce-version': 'v1.7' }), patchHeaders.merge);
  assert.equal((await call('POST', pods, pod('older', { securityContext: { runAsNonRoot: true } }))).code, 201, 'standards of an older release are fewer');
  const wrong = await call('PATCH', '/api/v1/namespaces/default', label({ enforce: 'strict' }), patchHeaders.merge);
  assert.match(String(wrong.body['message']), /metadata\.labels\[pod-security\.kubernetes\.io\/enforce\]: Invalid value: "strict": must be one of privileged, baseline, restricted/);
});
