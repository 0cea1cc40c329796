import { isDeepStrictEqual } from 'node:util';
import { isIP } from 'node:net';
import { type k8s, resources, type Stored } from '../../../api/mod.ts';
import type { Plan } from '../../../client/mod.ts';
import { shortHash } from '../../../kernel/mod.ts';
import { headlessLabels, managedByLabel, serviceNameLabel } from '../endpoint-slice/plan.ts';
import { controllerReference } from '../ownership/claim.ts';

/** Marks Endpoints that follow a Service's slices. */
export const endpointsOwnerLabel = 'endpoints.kubernetes.io/managed-by';
export const endpointsOwner = 'endpoint-controller';
/** Marks slices that follow Endpoints which somebody wrote. */
export const mirroredBy = 'endpointslicemirroring-controller.k8s.io';
/** Endpoints with it are left alone. */
const skipMirrorLabel = 'endpointslice.kubernetes.io/skip-mirror';
/** As many addresses as Endpoints hold; more are cut off and said to be. */
const maxAddresses = 1000;
const capacityAnnotation = 'endpoints.kubernetes.io/over-capacity';

type Slice = Stored<k8s.EndpointSlice>;

export interface ObservedEndpoints {
  readonly name: string;
  readonly namespace: string;
  readonly service: Stored<k8s.Service> | undefined;
  readonly endpoints: Stored<k8s.Endpoints> | undefined;
  /** The slices that follow the Service's pods. */
  readonly slices: readonly Slice[];
  /** The slices that follow Endpoints. */
  readonly mirrored: readonly Slice[];
}

export type EndpointsAction =
  | { type: 'create-endpoints' | 'update-endpoints'; endpoints: k8s.Endpoints }
  | { type: 'delete-endpoints'; endpoints: Stored<k8s.Endpoints> }
  | { type: 'create-slice' | 'update-slice'; slice: k8s.EndpointSlice }
  | { type: 'delete-slice'; slice: Slice };

/**
 * Keeps the two forms of endpoints in step: what the slices of a Service with a selector say is written as Endpoints, and Endpoints
 * that somebody wrote for a Service without one are written as slices, which are what traffic follows.
 */
export function planEndpoints(observed: ObservedEndpoints): Plan<EndpointsAction, never> {
  const { service, endpoints, mirrored } = observed;
  if (service === undefined || service.metadata.deletionTimestamp !== undefined) return { actions: planWithoutService(observed) };
  const hasSelector = Object.keys(service.spec?.selector ?? {}).length > 0 && service.spec?.type !== 'ExternalName';
  if (!hasSelector) return { actions: planMirror(service, endpoints, mirrored) };
  return { actions: [...planFollowing(service, observed), ...mirrored.map((slice) => ({ type: 'delete-slice', slice }) as const)] };
}

/** Endpoints go with their Service. Those somebody wrote before there is one stay: mirrored slices tell that there was. */
function planWithoutService({ endpoints, mirrored }: ObservedEndpoints): EndpointsAction[] {
  const actions: EndpointsAction[] = mirrored.map((slice) => ({ type: 'delete-slice', slice }));
  const isOurs = endpoints?.metadata.labels?.[endpointsOwnerLabel] === endpointsOwner;
  // Last: until it is gone, the slices are how a pass after a crash knows.
  if (endpoints !== undefined && (isOurs || mirrored.length > 0)) actions.unshift({ type: 'delete-endpoints', endpoints });
  return actions;
}

function planFollowing(service: Stored<k8s.Service>, { name, namespace, endpoints, slices }: ObservedEndpoints): EndpointsAction[] {
  const subsets = toSubsets(slices, service.spec?.publishNotReadyAddresses === true);
  const isCut = slices.flatMap((slice) => slice.endpoints ?? []).length > maxAddresses;
  const labels = { ...service.metadata.labels, ...headlessLabels(service), [endpointsOwnerLabel]: endpointsOwner };
  const { [capacityAnnotation]: _, ...kept } = endpoints?.metadata.annotations ?? {};
  const annotations = isCut ? { ...kept, [capacityAnnotation]: 'truncated' } : kept;
  if (endpoints === undefined) return [{ type: 'create-endpoints', endpoints: { metadata: { name, namespace, labels, annotations }, subsets } }];
  const { metadata } = endpoints;
  if (isDeepStrictEqual({ labels, annotations, subsets }, { labels: metadata.labels ?? {}, annotations: metadata.annotations ?? {}, subsets: endpoints.subsets ?? [] })) return [];
  return [{ type: 'update-endpoints', endpoints: { ...endpoints, metadata: { ...metadata, labels, annotations }, subsets } }];
}

/** Slices as subsets: addresses with equal ports together, in the order of the addresses. Who is leaving is in neither list. */
export function toSubsets(slices: readonly k8s.EndpointSlice[], isNotReadyPublished: boolean): k8s.EndpointSubset[] {
  const groups = new Map<string, { ports: k8s.CoreEndpointPort[]; ready: k8s.EndpointAddress[]; waiting: k8s.EndpointAddress[] }>();
  let room = maxAddresses;
  for (const { ports = [], endpoints = [] } of slices) {
    const own = ports.flatMap(({ name = '', port, protocol = 'TCP', appProtocol }) => (port === undefined ? [] : [{ ...(name === '' ? {} : { name }), port, protocol, ...(appProtocol === undefined ? {} : { appProtocol }) }]));
    const key = JSON.stringify(own);
    for (const endpoint of endpoints) {
      if ((endpoint.conditions?.terminating === true && !isNotReadyPublished) || room === 0) continue;
      room -= 1;
      const group = groups.get(key) ?? { ports: own, ready: [], waiting: [] };
      groups.set(key, group);
      (endpoint.conditions?.ready === false ? group.waiting : group.ready).push(toAddress(endpoint));
    }
  }
  return [...groups].toSorted(byKey).map(([, { ports, ready, waiting }]) => ({
    ...(ready.length === 0 ? {} : { addresses: ready.toSorted(byAddress) }),
    ...(waiting.length === 0 ? {} : { notReadyAddresses: waiting.toSorted(byAddress) }),
    ...(ports.length === 0 ? {} : { ports }),
  }));
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

function byAddress(a: k8s.EndpointAddress, b: k8s.EndpointAddress): number {
  return a.ip.localeCompare(b.ip, 'en', { numeric: true });
}

function toAddress({ addresses, hostname, nodeName, targetRef }: k8s.Endpoint): k8s.EndpointAddress {
  return { ip: addresses[0] ?? '', ...(hostname === undefined ? {} : { hostname }), ...(nodeName === undefined ? {} : { nodeName }), ...(targetRef === undefined ? {} : { targetRef }) };
}

function planMirror(service: Stored<k8s.Service>, endpoints: Stored<k8s.Endpoints> | undefined, mirrored: readonly Slice[]): EndpointsAction[] {
  const isMirrored = endpoints !== undefined && endpoints.metadata.deletionTimestamp === undefined && endpoints.metadata.labels?.[skipMirrorLabel] !== 'true' && endpoints.metadata.labels?.[endpointsOwnerLabel] !== endpointsOwner;
  const wanted = isMirrored ? toSlices(service, endpoints) : [];
  const found = new Map(mirrored.map((slice) => [slice.metadata.name, slice]));
  const actions: EndpointsAction[] = [];
  for (const slice of wanted) {
    const old = found.get(slice.metadata?.name ?? '');
    found.delete(slice.metadata?.name ?? '');
    if (old === undefined) actions.push({ type: 'create-slice', slice });
    else if (!isDeepStrictEqual([old.endpoints, old.ports ?? [], old.metadata.labels], [slice.endpoints, slice.ports ?? [], slice.metadata?.labels])) actions.push({ type: 'update-slice', slice: { ...slice, metadata: { ...old.metadata, ...slice.metadata } } });
  }
  return [...actions, ...[...found.values()].map((slice) => ({ type: 'delete-slice', slice }) as const)];
}

/** A slice for each subset and family. The name follows from its place, so that a second creation out of a stale cache is refused. */
function toSlices(service: Stored<k8s.Service>, endpoints: Stored<k8s.Endpoints>): k8s.EndpointSlice[] {
  const { name, namespace, labels = {} } = endpoints.metadata;
  return (endpoints.subsets ?? []).flatMap(({ addresses = [], notReadyAddresses = [], ports = [] }, index) =>
    (['IPv4', 'IPv6'] as const).flatMap((addressType) => {
      const isOfType = ({ ip }: k8s.EndpointAddress): boolean => isIP(ip) === (addressType === 'IPv4' ? 4 : 6);
      const items = [...addresses.filter(isOfType).map((address) => toEndpoint(address, true)), ...notReadyAddresses.filter(isOfType).map((address) => toEndpoint(address, false))].slice(0, maxAddresses);
      if (items.length === 0) return [];
      return [{
        metadata: {
          name: `${name.slice(0, 50)}-${shortHash(JSON.stringify([endpoints.metadata.uid, addressType, index]), 6)}`,
          generateName: `${name.slice(0, 50)}-`,
          ...(namespace === undefined ? {} : { namespace }),
          labels: { ...labels, ...headlessLabels(service), [serviceNameLabel]: name, [managedByLabel]: mirroredBy },
          ownerReferences: [controllerReference(resources.endpoints, endpoints)],
        },
        addressType,
        endpoints: items,
        ports: ports.map(({ name: portName = '', port, protocol = 'TCP', appProtocol }) => ({ name: portName, port, protocol, ...(appProtocol === undefined ? {} : { appProtocol }) })),
      }];
    }),
  );
}

function toEndpoint({ ip, hostname, nodeName, targetRef }: k8s.EndpointAddress, ready: boolean): k8s.Endpoint {
  return { addresses: [ip], conditions: { ready }, ...(hostname === undefined ? {} : { hostname }), ...(nodeName === undefined ? {} : { nodeName }), ...(targetRef === undefined ? {} : { targetRef }) };
}
