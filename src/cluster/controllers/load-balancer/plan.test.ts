import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s, Stored } from '../../../api/mod.ts';
import { ago } from '../testing/objects.ts';
import { proxiedPorts } from './proxied-ports.ts';
import { planBalancer } from './reconciler.ts';

const meta = { namespace: 'default', uid: 'u', resourceVersion: '1', creationTimestamp: ago(5) };

function serviceOf(name: string, ageSeconds: number, port = 81, spec: Partial<k8s.ServiceSpec> = {}, status?: k8s.ServiceStatus): Stored<k8s.Service> {
  return { metadata: { name, namespace: 'default', uid: name, resourceVersion: '1', creationTimestamp: ago(ageSeconds) }, spec: { type: 'LoadBalancer', ports: [{ port, protocol: 'TCP' }], ...spec }, ...(status === undefined ? {} : { status }) };
}

test('planBalancer() gives each host port to one Service, the oldest', () => {
  const [old, young, other] = [serviceOf('old', 90), serviceOf('young', 10), serviceOf('other', 10, 8080)];
  const proxied = proxiedPorts({
    classes: [{ metadata: { ...meta, name: 'haproxy' }, spec: { controller: 'gantry.dev/haproxy' } }],
    ingresses: ['haproxy', 'other'].map((ingressClassName) => ({ metadata: { ...meta, name: ingressClassName }, spec: { ingressClassName, tls: [] }, status: { loadBalancer: { ingress: [{ ip: '10.0.0.1' }] } } })),
    gateways: [{ metadata: { ...meta, name: 'front' }, spec: { gatewayClassName: 'haproxy', listeners: [{ name: 'a', port: 8443, protocol: 'HTTPS' }] }, status: { listeners: [{ name: 'a', attachedRoutes: 0, supportedKinds: [], conditions: [{ type: 'Programmed', status: 'True', reason: '', message: '', lastTransitionTime: '' }] }] } }],
  });
  const plan = (service: Stored<k8s.Service>): unknown[] => {
    const { actions, status } = planBalancer({ service, services: [old, young, other], addresses: ['10.0.0.1'], reserved: new Set(['tcp/22']), proxied });
    return [actions.map(({ message }) => message), status?.loadBalancer?.ingress?.map(({ ip, ports }) => `${ip ?? ''}:${ports?.[0]?.port ?? ''}`)];
  };
  assert.deepEqual(plan(old), [[], ['10.0.0.1:81']]);
  assert.deepEqual(plan(young), [['host ports are taken: tcp/81 (old)'], undefined]);
  assert.deepEqual(plan(other), [[], ['10.0.0.1:8080']]);
  assert.deepEqual(plan(serviceOf('ssh', 1, 22)), [['host ports are taken: tcp/22 (the node itself)'], undefined]);
  const given = { loadBalancer: { ingress: [{ ip: '10.0.0.1', ports: [{ port: 8443, protocol: 'TCP' }] }] } };
  assert.deepEqual(plan(serviceOf('proxied', 1, 8443)), [['host ports are taken: tcp/8443 (Gateway default/front)'], undefined]);
  assert.deepEqual(plan(serviceOf('before', 1, 8443, {}, given)), [[], ['10.0.0.1:8443']], 'what was given stays');
  assert.deepEqual(proxied.get('tcp/80'), 'Ingress default/haproxy');
  assert.deepEqual(plan(serviceOf('foreign', 1, 80, { loadBalancerClass: 'somebody.example/else' })), [[], undefined]);
  const changed = planBalancer({ service: serviceOf('was', 1, 80, { type: 'ClusterIP' }, { loadBalancer: { ingress: [{ ip: '10.0.0.1' }] } }), services: [], addresses: [], reserved: new Set(), proxied });
  assert.deepEqual(changed.status, { loadBalancer: {} });
});
