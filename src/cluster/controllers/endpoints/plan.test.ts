import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s, Stored } from '../../../api/mod.ts';
import { managedBy, managedByLabel, serviceNameLabel } from '../endpoint-slice/plan.ts';
import { endpointsOwner, endpointsOwnerLabel, mirroredBy, type ObservedEndpoints, planEndpoints } from './plan.ts';

const stored = <T extends object>(name: string, rest: T, labels: Record<string, string> = {}): T & Stored<object> => ({ apiVersion: '', kind: '', metadata: { name, namespace: 'default', uid: `uid-${name}`, resourceVersion: '1', creationTimestamp: '', labels }, ...rest });

const serviceOf = (spec: k8s.ServiceSpec): Stored<k8s.Service> => stored('web', { spec });
const selecting = serviceOf({ selector: { app: 'web' } });
const manual = serviceOf({});

const sliceOf = (name: string, ports: k8s.EndpointPort[], ...endpoints: k8s.Endpoint[]): Stored<k8s.EndpointSlice> => stored(name, { addressType: 'IPv4', ports, endpoints }, { [managedByLabel]: managedBy, [serviceNameLabel]: 'web' });
const endpoint = (address: string, ready: boolean, terminating = false): k8s.Endpoint => ({ addresses: [address], conditions: { ready, serving: ready, terminating } });
const http: k8s.EndpointPort = { name: '', port: 8080, protocol: 'TCP' };

function plan(observed: Partial<ObservedEndpoints>): unknown[] {
  return planEndpoints({ name: 'web', namespace: 'default', service: undefined, endpoints: undefined, slices: [], mirrored: [], ...observed }).actions.map((action) => {
    if ('endpoints' in action) return action.type === 'delete-endpoints' ? [action.type] : [action.type, action.endpoints.subsets];
    return [action.type, action.slice.addressType, action.slice.endpoints?.map(({ addresses, conditions }) => `${addresses[0] ?? ''} ${conditions?.ready === true ? 'ready' : 'waiting'}`), action.slice.ports?.map(({ port }) => port)];
  });
}

test('planEndpoints() writes what slices say: ready and waiting apart, equal ports together, who leaves in neither', () => {
  const slices = [
    sliceOf('b', [http], endpoint('10.0.0.10', true), endpoint('10.0.0.9', true), endpoint('10.0.0.3', false), endpoint('10.0.0.4', false, true)),
    sliceOf('a', [http], endpoint('10.0.0.2', true)),
    sliceOf('c', [{ name: '', port: 9090, protocol: 'TCP' }], endpoint('10.0.0.1', true)),
  ];
  const port = { port: 8080, protocol: 'TCP' };
  const subsets = [
    { addresses: [{ ip: '10.0.0.2' }, { ip: '10.0.0.9' }, { ip: '10.0.0.10' }], notReadyAddresses: [{ ip: '10.0.0.3' }], ports: [port] },
    { addresses: [{ ip: '10.0.0.1' }], ports: [{ port: 9090, protocol: 'TCP' }] },
  ];
  assert.deepEqual(plan({ service: selecting, slices }), [['create-endpoints', subsets]]);
  const written = stored('web', { subsets }, { [endpointsOwnerLabel]: endpointsOwner });
  written.metadata.annotations = {};
  assert.deepEqual(plan({ service: selecting, slices, endpoints: written }), []);
  assert.deepEqual(plan({ service: selecting, slices: slices.slice(2), endpoints: written }), [['update-endpoints', subsets.slice(1)]]);
  assert.deepEqual(plan({ service: serviceOf({ selector: { a: 'b' }, publishNotReadyAddresses: true }), slices: [sliceOf('a', [], endpoint('10.0.0.4', true, true))] }), [['create-endpoints', [{ addresses: [{ ip: '10.0.0.4' }] }]]]);
});

test('planEndpoints() cuts Endpoints off at a thousand addresses and says so', () => {
  const many = Array.from({ length: 1001 }, (_, index) => endpoint(`10.1.${index >> 8}.${index & 255}`, true));
  const [action] = planEndpoints({ name: 'web', namespace: 'default', service: selecting, endpoints: undefined, slices: [sliceOf('a', [http], ...many)], mirrored: [] }).actions;
  assert.ok(action?.type === 'create-endpoints');
  assert.deepEqual([action.endpoints.subsets?.[0]?.addresses?.length, action.endpoints.metadata?.annotations], [1000, { 'endpoints.kubernetes.io/over-capacity': 'truncated' }]);
});

test('planEndpoints() mirrors Endpoints that somebody wrote for a Service without a selector', () => {
  const written = stored('web', { subsets: [{ addresses: [{ ip: '192.0.2.1' }, { ip: '2001:db8::1' }], notReadyAddresses: [{ ip: '192.0.2.2' }], ports: [{ name: 'db', port: 5432 }] }] });
  assert.deepEqual(plan({ service: manual, endpoints: written }), [
    ['create-slice', 'IPv4', ['192.0.2.1 ready', '192.0.2.2 waiting'], [5432]],
    ['create-slice', 'IPv6', ['2001:db8::1 ready'], [5432]],
  ]);
  const made = planEndpoints({ name: 'web', namespace: 'default', service: manual, endpoints: written, slices: [], mirrored: [] }).actions.flatMap((action) => (action.type === 'create-slice' ? [action.slice] : []));
  assert.deepEqual(made.map(({ metadata }) => [metadata?.labels?.[managedByLabel], metadata?.labels?.[serviceNameLabel], metadata?.ownerReferences?.[0]?.kind]), [[mirroredBy, 'web', 'Endpoints'], [mirroredBy, 'web', 'Endpoints']]);
  const mirrored = made.map((slice) => ({ ...slice, metadata: { resourceVersion: '1', creationTimestamp: '', uid: 'u', name: '', ...slice.metadata } }));
  assert.deepEqual(plan({ service: manual, endpoints: written, mirrored }), []);
  const changed = { ...written, subsets: [{ addresses: [{ ip: '192.0.2.7' }], ports: [{ name: 'db', port: 5432 }] }] };
  assert.deepEqual(plan({ service: manual, endpoints: changed, mirrored }), [
    ['update-slice', 'IPv4', ['192.0.2.7 ready'], [5432]],
    ['delete-slice', 'IPv6', ['2001:db8::1 ready'], [5432]],
  ]);
  assert.deepEqual(plan({ service: manual, endpoints: stored('web', { subsets: written.subsets }, { 'endpointslice.kubernetes.io/skip-mirror': 'true' }) }), []);
  assert.deepEqual(plan({ endpoints: written }), [], 'written before the Service: it stays');
  assert.deepEqual(plan({ endpoints: written, mirrored: mirrored.slice(0, 1) }).map((action) => (action as unknown[])[0]), ['delete-endpoints', 'delete-slice'], 'it goes with the Service');
});
