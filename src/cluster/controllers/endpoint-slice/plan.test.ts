import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s, Stored } from '../../../api/mod.ts';
import { podOf, type PodFields } from '../testing/objects.ts';
import type { Service } from './endpoints.ts';
import { planEndpointSlices, type SliceAction } from './plan.ts';

function serviceOf(spec: k8s.ServiceSpec = {}): Service {
  const metadata = { name: 'web', namespace: 'default', uid: 'uid-svc', resourceVersion: '1', creationTimestamp: '', labels: { team: 'a' } };
  return { apiVersion: 'v1', kind: 'Service', metadata, spec: { clusterIP: '10.0.0.1', selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }], ...spec } };
}

const ready: Partial<PodFields> = { readySeconds: 10 };

function plan(service: Service, pods: PodFields[], slices: Stored<k8s.EndpointSlice>[] = []): readonly SliceAction[] {
  return planEndpointSlices({ service, pods: pods.map(podOf), slices, zoneOf: (node) => (node === 'node-1' ? 'z1' : undefined) }).actions;
}

/** What the slices would be if the API server had carried the actions out. */
function carryOut(slices: Stored<k8s.EndpointSlice>[], actions: readonly SliceAction[]): Stored<k8s.EndpointSlice>[] {
  const byName = new Map(slices.map((slice) => [slice.metadata.name, slice]));
  for (const { type, slice } of actions) {
    const name = slice.metadata?.name ?? '';
    if (type === 'delete') byName.delete(name);
    else byName.set(name, { ...slice, metadata: { resourceVersion: '1', creationTimestamp: '', ...slice.metadata, name, uid: name } });
  }
  return [...byName.values()];
}

test('planEndpointSlices() says of each pod whether it is ready, serving and terminating', () => {
  const pods: PodFields[] = [
    { name: 'ready', ip: '10.1.0.1', ...ready },
    { name: 'starting', ip: '10.1.0.2' },
    { name: 'leaving', ip: '10.1.0.3', isDeleting: true, ...ready },
    { name: 'no-address', ...ready },
    { name: 'finished', ip: '10.1.0.4', phase: 'Succeeded' },
  ];
  const summary = (service: Service): unknown => plan(service, pods).map(({ type, slice }) => [type, slice.ports, slice.endpoints?.map(({ addresses, conditions }) => [addresses[0], conditions?.ready, conditions?.serving, conditions?.terminating])]);
  const ports = [{ name: '', port: 8080, protocol: 'TCP' }];
  assert.deepEqual(summary(serviceOf()), [['create', ports, [['10.1.0.1', true, true, false], ['10.1.0.2', false, false, false], ['10.1.0.3', false, true, true]]]]);
  assert.deepEqual(summary(serviceOf({ publishNotReadyAddresses: true })), [['create', ports, [['10.1.0.1', true, true, false], ['10.1.0.2', true, false, false], ['10.1.0.3', true, true, true]]]]);
});

test('planEndpointSlices() fills in what clients of slices look for', () => {
  const [action] = plan(serviceOf({ clusterIP: 'None', ports: [] }), [{ name: 'a', ip: '10.1.0.1', ...ready }]);
  assert.deepEqual(action?.slice.metadata?.labels, { team: 'a', 'service.kubernetes.io/headless': '', 'kubernetes.io/service-name': 'web', 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io' });
  assert.deepEqual(action?.slice.metadata?.ownerReferences?.map(({ kind, name, uid }) => [kind, name, uid]), [['Service', 'web', 'uid-svc']]);
  assert.deepEqual(action?.slice.endpoints, [
    { addresses: ['10.1.0.1'], conditions: { ready: true, serving: true, terminating: false }, nodeName: 'node-1', zone: 'z1', targetRef: { kind: 'Pod', namespace: 'default', name: 'a', uid: 'uid-a' } },
  ]);
});

test('planEndpointSlices() resolves named ports for each pod', () => {
  const container = (containerPort: number): k8s.Container[] => [{ name: 'app', ports: [{ name: 'http', containerPort }] }];
  const pods: PodFields[] = [
    { name: 'a', ip: '10.1.0.1', containers: container(8080), ...ready },
    { name: 'b', ip: '10.1.0.2', containers: container(9090), ...ready },
    { name: 'c', ip: '10.1.0.3', ...ready },
  ];
  const actions = plan(serviceOf({ ports: [{ name: 'web', port: 80, targetPort: 'http', appProtocol: 'h2c' }] }), pods);
  assert.deepEqual(actions.map(({ slice }) => [slice.ports, slice.endpoints?.map(({ addresses }) => addresses[0])]), [
    [[{ name: 'web', port: 8080, protocol: 'TCP', appProtocol: 'h2c' }], ['10.1.0.1']],
    [[{ name: 'web', port: 9090, protocol: 'TCP', appProtocol: 'h2c' }], ['10.1.0.2']],
  ]);
});

test('planEndpointSlices() writes nothing when nothing changed and one slice when one pod did', () => {
  const pods = Array.from({ length: 150 }, (_, index): PodFields => ({ name: `p${index}`, ip: `10.1.${index >> 8}.${index & 255}`, ...ready }));
  const service = serviceOf();
  const slices = carryOut([], plan(service, pods));
  assert.deepEqual(slices.map(({ endpoints }) => endpoints?.length), [100, 50]);
  assert.deepEqual(plan(service, pods, slices), []);
  const changed = pods.map((pod, index) => (index === 120 ? { ...pod, readySeconds: undefined } : pod));
  assert.deepEqual(plan(service, changed, slices).map(({ type, slice }) => [type, slice.endpoints?.length]), [['update', 50]]);
  const grown = [...pods, { name: 'new', ip: '10.2.0.1', ...ready }];
  assert.deepEqual(plan(service, grown, slices).map(({ type, slice }) => [type, slice.endpoints?.length]), [['update', 51]]);
  const shrunk = pods.slice(0, 100);
  assert.deepEqual(plan(service, shrunk, slices).map(({ type, slice }) => [type, slice.endpoints?.length]), [['delete', 50]]);
});

test('planEndpointSlices() keeps one empty slice and reuses it', () => {
  const service = serviceOf();
  const empty = carryOut([], plan(service, []));
  assert.deepEqual(empty.map(({ endpoints, ports }) => [endpoints, ports]), [[[], [{ name: '', port: 8080, protocol: 'TCP' }]]]);
  assert.deepEqual(plan(service, [], empty), []);
  assert.deepEqual(plan(service, [{ name: 'a', ip: '10.1.0.1', ...ready }], empty).map(({ type, slice }) => [type, slice.endpoints?.length]), [['update', 1]]);
});

test('planEndpointSlices() names new slices the same each time, so that a stale cache cannot make two', () => {
  const names = (): unknown => plan(serviceOf(), [{ name: 'a', ip: '10.1.0.1', ...ready }]).map(({ slice }) => slice.metadata?.name);
  assert.deepEqual(names(), names());
});
