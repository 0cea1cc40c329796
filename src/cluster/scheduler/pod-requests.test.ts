import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../api/mod.ts';
import { podRequests } from './pod-requests.ts';

const container = (cpu?: string, memory?: string, over: Partial<k8s.Container> = {}): k8s.Container => ({ name: 'c', resources: { requests: { ...(cpu === undefined ? {} : { cpu }), ...(memory === undefined ? {} : { memory }) } }, ...over });

test('podRequests() adds containers and takes the largest init container', () => {
  const cases: [string, Partial<k8s.PodSpec>, Record<string, number>][] = [
    ['nothing asked', { containers: [{ name: 'c' }] }, { pods: 1 }],
    ['a sum', { containers: [container('100m', '1Ki'), container('1', '1Ki')] }, { cpu: 1100, memory: 2048, pods: 1 }],
    ['a larger init container', { containers: [container('100m')], initContainers: [container('50m'), container('400m', '1Ki')] }, { cpu: 400, memory: 1024, pods: 1 }],
    ['sidecars run beside the containers', { containers: [container('100m')], initContainers: [container('50m', undefined, { restartPolicy: 'Always' })] }, { cpu: 150, pods: 1 }],
    ['and beside later init containers', { containers: [container('100m')], initContainers: [container('50m', undefined, { restartPolicy: 'Always' }), container('200m')] }, { cpu: 250, pods: 1 }],
    ['a limit is a request', { containers: [{ name: 'c', resources: { limits: { cpu: '2' } } }] }, { cpu: 2000, pods: 1 }],
    ['overhead', { containers: [container('100m')], overhead: { cpu: '10m' } }, { cpu: 110, pods: 1 }],
    ['requests of the pod itself', { containers: [container('100m', '1Ki')], resources: { requests: { cpu: '1' } } }, { cpu: 1000, memory: 1024, pods: 1 }],
    ['devices', { containers: [{ name: 'c', resources: { limits: { 'example.com/gpu': '2' } } }] }, { 'example.com/gpu': 2, pods: 1 }],
  ];
  for (const [what, spec, expected] of cases) assert.deepEqual(Object.fromEntries(podRequests({ spec: { containers: [], ...spec } })), expected, what);
});
