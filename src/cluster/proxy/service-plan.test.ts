import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s, Stored } from '../../api/mod.ts';
import { type KnownPlans, planServices } from './service-plan.ts';

const meta = (name: string, labels: Record<string, string> = {}) => ({ namespace: 'shop', name, labels, uid: name, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' });
const service = (spec: k8s.ServiceSpec): Stored<k8s.Service> => ({ metadata: meta('web'), spec: { clusterIP: '10.2.0.9', clusterIPs: ['10.2.0.9'], ports: [{ name: 'http', port: 80, protocol: 'TCP' }], ...spec } });
const slice = (...endpoints: k8s.Endpoint[]): Stored<k8s.EndpointSlice> => ({
  metadata: meta('web-1', { 'kubernetes.io/service-name': 'web' }),
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  endpoints,
});
const ready = (address: string, nodeName = 'one'): k8s.Endpoint => ({ addresses: [address], nodeName, conditions: { ready: true, serving: true, terminating: false } });
const ending = (address: string): k8s.Endpoint => ({ addresses: [address], nodeName: 'one', conditions: { ready: false, serving: true, terminating: true } });
const broken = (address: string): k8s.Endpoint => ({ addresses: [address], nodeName: 'one', conditions: { ready: false, serving: false, terminating: false } });

/** The endpoints' addresses for clients inside and by node port. */
function chosen(spec: k8s.ServiceSpec, endpoints: k8s.Endpoint[]): [string[], string[]][] {
  return planServices([service(spec)], [slice(...endpoints)], 'one').map((plan) => [plan.endpoints.map(({ address }) => address), plan.nodePortEndpoints.map(({ address }) => address)]);
}

test('planServices() chooses endpoints by readiness and traffic policy', () => {
  const cases: [string, k8s.ServiceSpec, k8s.Endpoint[], [string[], string[]][]][] = [
    ['ready ones', {}, [ready('10.1.0.6'), ready('10.1.0.5'), broken('10.1.0.7')], [[['10.1.0.5', '10.1.0.6'], ['10.1.0.5', '10.1.0.6']]]],
    ['not those that end', {}, [ready('10.1.0.5'), ending('10.1.0.6')], [[['10.1.0.5'], ['10.1.0.5']]]],
    ['those that end when there is nothing else', {}, [ending('10.1.0.6'), broken('10.1.0.7')], [[['10.1.0.6'], ['10.1.0.6']]]],
    ['none', {}, [broken('10.1.0.7')], [[[], []]]],
    ['local ones for the inside', { internalTrafficPolicy: 'Local' }, [ready('10.1.0.5'), ready('10.9.0.5', 'two')], [[['10.1.0.5'], ['10.1.0.5', '10.9.0.5']]]],
    ['local ones for node ports', { externalTrafficPolicy: 'Local' }, [ready('10.1.0.5'), ready('10.9.0.5', 'two')], [[['10.1.0.5', '10.9.0.5'], ['10.1.0.5']]]],
    ['headless: nothing', { clusterIP: 'None', clusterIPs: ['None'] }, [ready('10.1.0.5')], []],
    ['external name: nothing', { type: 'ExternalName', externalName: 'x.example' }, [ready('10.1.0.5')], []],
  ];
  for (const [name, spec, endpoints, expected] of cases) assert.deepEqual(chosen(spec, endpoints), expected, name);
});

test('planServices() matches ports by name and protocol and keeps what rules need', () => {
  const ports = [
    { name: 'http', port: 80, nodePort: 30080, protocol: 'TCP' },
    { name: 'dns', port: 53, protocol: 'UDP' },
  ];
  const plans = planServices([service({ ports, externalIPs: ['192.0.2.7'], sessionAffinity: 'ClientIP' })], [slice(ready('10.1.0.5'))], 'one');
  assert.deepEqual(plans, [
    { key: 'shop/web:dns/udp', protocol: 'udp', addresses: ['10.2.0.9', '192.0.2.7'], port: 53, nodePort: 0,  balancerPort: 0, endpoints: [], nodePortEndpoints: [], affinitySeconds: 10_800 },
    {
      key: 'shop/web:http/tcp',
      protocol: 'tcp',
      addresses: ['10.2.0.9', '192.0.2.7'],
      port: 80,
      nodePort: 30080,
      balancerPort: 0,
      endpoints: [{ address: '10.1.0.5', port: 8080 }],
      nodePortEndpoints: [{ address: '10.1.0.5', port: 8080 }],
      affinitySeconds: 10_800,
    },
  ]);
});

test('planServices() opens host ports that a LoadBalancer was given, and no others', () => {
  const balanced = (loadBalancer: k8s.LoadBalancerStatus, spec: k8s.ServiceSpec = {}): number[] => {
    const given = service({ type: 'LoadBalancer', ...spec });
    return planServices([{ ...given, status: { loadBalancer } }], [slice(ready('10.1.0.5'))], 'one').map(({ balancerPort }) => balancerPort);
  };
  const ingress = [{ ip: '10.0.0.1', ports: [{ port: 80, protocol: 'TCP' }] }];
  assert.deepEqual(balanced({ ingress }), [80]);
  assert.deepEqual(balanced({}), [0], 'still pending');
  assert.deepEqual(balanced({ ingress: [{ ip: '10.0.0.1', ports: [{ port: 80, protocol: 'UDP' }] }] }), [0]);
  assert.deepEqual(balanced({ ingress }, { loadBalancerClass: 'somebody.example/else' }), [0]);
});

test('planServices() keeps the plans of a Service as they are until it or its slices change', () => {
  const known: KnownPlans = new Map();
  const [one, slices] = [service({}), [slice(ready('10.1.0.5'))]];
  const first = planServices([one], slices, 'one', known);
  assert.equal(planServices([one], [...slices], 'one', known)[0], first[0]);
  const moved = planServices([one], [slice(ready('10.1.0.6'))], 'one', known);
  assert.deepEqual(moved, planServices([one], [slice(ready('10.1.0.6'))], 'one'));
  assert.notEqual(moved[0], first[0]);
  assert.deepEqual(planServices([], [], 'one', known), []);
  assert.equal(known.size, 0);
});
