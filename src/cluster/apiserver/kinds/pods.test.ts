import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../../api/mod.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import { ageSince } from './age.ts';
import { podReason } from './pod-columns.ts';
import { defaultPodSpec } from './pod-defaults.ts';
import { validatePodSpec } from './pod-validation.ts';
import { qosClassOf } from './pod.ts';

function problems(more: object): string[] {
  const spec = { containers: [{ name: 'c', image: 'x' }], ...more } as k8s.PodSpec;
  defaultPodSpec(spec);
  const errors = new FieldErrors();
  validatePodSpec(spec, 'spec', errors);
  return errors.places.map(({ field, message }) => `${field ?? ''}: ${message}`);
}

const container = (more: object): object => ({ containers: [{ name: 'c', image: 'x', ...more }] });

test('validatePodSpec() accepts what people write', () => {
  const table: object[] = [
    {},
    { volumes: [{ name: 'v' }], ...container({ volumeMounts: [{ name: 'v', mountPath: '/v', subPath: 'a/b' }] }) },
    container({ ports: [{ name: 'http', containerPort: 80 }, { containerPort: 53, protocol: 'UDP' }], env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }] }),
    container({ livenessProbe: { httpGet: { port: 'http' } }, readinessProbe: { exec: { command: ['true'] } }, securityContext: { runAsUser: 0, seccompProfile: { type: 'RuntimeDefault' } } }),
    { initContainers: [{ name: 'i', image: 'x' }, { name: 's', image: 'x', restartPolicy: 'Always', startupProbe: { tcpSocket: { port: 1 } } }] },
    { tolerations: [{ operator: 'Exists' }, { key: 'a', value: 'b', effect: 'NoExecute', tolerationSeconds: 3 }], nodeSelector: { 'kubernetes.io/os': 'linux' }, hostAliases: [{ ip: '10.0.0.1', hostnames: ['x'] }] },
  ];
  for (const more of table) assert.deepEqual(problems(more), [], JSON.stringify(more));
});

test('validatePodSpec() names what is wrong', () => {
  const table: [more: object, problem: string][] = [
    [{ containers: [] }, 'spec.containers: Required value'],
    [{ containers: [{ name: 'c', image: 'x' }, { name: 'c', image: 'y' }] }, 'spec.containers[1].name: Duplicate value: "c"'],
    [container({ image: '' }), 'spec.containers[0].image: Required value'],
    [container({ image: ' x' }), 'spec.containers[0].image: Invalid value: " x": must not have leading or trailing whitespace'],
    [container({ volumeMounts: [{ name: 'none', mountPath: '/x' }] }), 'spec.containers[0].volumeMounts[0].name: Not found: "none"'],
    [container({ resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } }), 'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
    [container({ ports: [{ containerPort: 70_000 }] }), 'spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive'],
    [container({ ports: [{ name: 'a', containerPort: 1 }, { name: 'a', containerPort: 2 }] }), 'spec.containers[0].ports[1].name: Duplicate value: "a"'],
    [container({ livenessProbe: {} }), 'spec.containers[0].livenessProbe: Required value: must specify a handler type'],
    [container({ livenessProbe: { exec: { command: ['x'] }, tcpSocket: { port: 1 } } }), 'spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type'],
    [container({ env: [{ name: 'A', value: 'x', valueFrom: { fieldRef: { fieldPath: 'a' } } }] }), 'spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty'],
    [{ restartPolicy: 'Sometimes' }, 'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"'],
    [{ volumes: [{ name: 'v', emptyDir: {}, hostPath: { path: '/x' } }] }, 'spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type'],
    [{ volumes: [{ name: 'v', hostPath: { path: '/a/../b' } }] }, 'spec.volumes[0].hostPath.path: Invalid value: "/a/../b": must not contain \'..\''],
    [{ tolerations: [{ operator: 'Equal' }] }, 'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"'],
    [{ terminationGracePeriodSeconds: -1 }, 'spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0'],
    [{ hostNetwork: true, ...container({ ports: [{ containerPort: 80, hostPort: 81 }] }) }, 'spec.containers[0].ports[0].containerPort: Invalid value: 80: must match `hostPort` when `hostNetwork` is true'],
    [{ hostUsers: false, hostNetwork: true }, 'spec.hostNetwork: Forbidden: when `hostUsers` is false'],
    [{ hostUsers: false, hostPID: true }, 'spec.hostPID: Forbidden: when `hostUsers` is false'],
    [{ hostUsers: false, hostIPC: true }, 'spec.hostIPC: Forbidden: when `hostUsers` is false'],
    [{ hostUsers: false, ...container({ securityContext: { privileged: true } }) }, 'spec.containers[0].securityContext.privileged: Forbidden: is not supported by this cluster when `hostUsers` is false'],
  ];
  for (const [more, problem] of table) assert.deepEqual(problems(more), [problem], JSON.stringify(more));
});

test('qosClassOf() sorts pods into classes', () => {
  const pod = (...resources: object[]): k8s.PodSpec => ({ containers: resources.map((given, index) => ({ name: `c${index}`, resources: given })) });
  assert.equal(qosClassOf(pod({}, {})), 'BestEffort');
  assert.equal(qosClassOf(pod({ limits: { cpu: '1', memory: '1Gi' } }, { requests: { cpu: '2', memory: '1Gi' }, limits: { cpu: '2', memory: '1Gi' } })), 'Guaranteed');
  assert.equal(qosClassOf(pod({ limits: { cpu: '1', memory: '1Gi' } }, {})), 'Burstable');
  assert.equal(qosClassOf(pod({ requests: { cpu: '500m' }, limits: { cpu: '1', memory: '1Gi' } })), 'Burstable');
});

test('podReason() says the most telling thing about a pod', () => {
  const main = (...containerStatuses: object[]): object => ({ phase: 'Running', containerStatuses });
  const table: [status: object, spec: object, reason: string][] = [
    [{ phase: 'Pending' }, {}, 'Pending'],
    [main({ name: 'c', ready: true, restartCount: 0, state: { running: {} } }), {}, 'Running'],
    [main({ name: 'c', ready: false, restartCount: 3, state: { waiting: { reason: 'CrashLoopBackOff' } } }), {}, 'CrashLoopBackOff'],
    [main({ name: 'c', ready: false, restartCount: 0, state: { terminated: { exitCode: 137, reason: 'OOMKilled' } } }), {}, 'OOMKilled'],
    [main({ name: 'c', ready: false, restartCount: 0, state: { terminated: { exitCode: 2 } } }), {}, 'ExitCode:2'],
    [{ phase: 'Pending', initContainerStatuses: [{ name: 'i', ready: false, restartCount: 0, state: { running: {} } }] }, { initContainers: [{ name: 'i' }, { name: 'j' }] }, 'Init:0/2'],
    [{ phase: 'Pending', initContainerStatuses: [{ name: 'i', ready: false, restartCount: 1, state: { terminated: { exitCode: 1, reason: 'Error' } } }] }, { initContainers: [{ name: 'i' }] }, 'Init:Error'],
    [{ phase: 'Failed', reason: 'Evicted' }, {}, 'Evicted'],
    [{ phase: 'Succeeded', containerStatuses: [{ name: 'c', ready: false, restartCount: 0, state: { terminated: { exitCode: 0, reason: 'Completed' } } }] }, {}, 'Completed'],
  ];
  for (const [status, spec, reason] of table) assert.equal(podReason({ status, spec: { containers: [{ name: 'c' }], ...spec } }), reason);
  assert.equal(podReason({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' }, status: { phase: 'Running' } }), 'Terminating');
});

test('ageSince() is short', () => {
  const now = Date.parse('2026-06-01T00:00:00Z');
  const table: [seconds: number, text: string][] = [[0, '0s'], [119, '119s'], [120, '2m'], [150, '2m30s'], [599, '9m59s'], [600, '10m'], [10_799, '179m'], [10_800, '3h'], [12_000, '3h20m'], [100_000, '27h'], [180_000, '2d2h'], [864_000, '10d'], [70_000_000, '2y80d']];
  for (const [seconds, text] of table) assert.equal(ageSince(new Date(now - seconds * 1000).toISOString(), now), text);
  assert.equal(ageSince(undefined, now), '<unknown>');
});
