import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s, Stored } from '../../../api/mod.ts';
import { ago } from '../testing/objects.ts';
import { planBalancer } from './reconciler.ts';

function serviceOf(name: string, ageSeconds: number, port = 80, spec: Partial<k8s.ServiceSpec> = {}, status?: k8s.ServiceStatus): Stored<k8s.Service> {
  return { metadata: { name, namespace: 'default', uid: name, resourceVersion: '1', creationTimestamp: ago(ageSeconds) }, spec: { type: 'LoadBalancer', ports: [{ port, protocol: 'TCP' }], ...spec }, ...(status === undefined ? {} : { status }) };
}

test('planBalancer() gives each host port to one Service, the oldest', () => {
  const [old, young, other] = [serviceOf('old', 90), serviceOf('young', 10), serviceOf('other', 10, 8080)];
  const plan = (service: Stored<k8s.Service>): unknown[] => {
    const { actions, status } = planBalancer({ service, services: [old, young, other], addresses: ['10.0.0.1'], reserved: new Set(['tcp/22']) });
    return [actions.map(({ message }) => message), status?.loadBalancer?.ingress?.map(({ ip, ports }) => `${ip ?? ''}:${ports?.[0]?.port ?? ''}`)];
  };
  assert.deepEqual(plan(old), [[], ['10.0.0.1:80']]);
  assert.deepEqual(plan(young), [['host ports are taken: tcp/80 (old)'], undefined]);
  assert.deepEqual(plan(other), [[], ['10.0.0.1:8080']]);
  assert.deepEqual(plan(serviceOf('ssh', 1, 22)), [['host ports are taken: tcp/22 (the node itself)'], undefined]);
  assert.deepEqual(plan(serviceOf('foreign', 1, 80, { loadBalancerClass: 'somebody.example/else' })), [[], undefined]);
  const changed = planBalancer({ service: serviceOf('was', 1, 80, { type: 'ClusterIP' }, { loadBalancer: { ingress: [{ ip: '10.0.0.1' }] } }), services: [], addresses: [], reserved: new Set() });
  assert.deepEqual(changed.status, { loadBalancer: {} });
});
