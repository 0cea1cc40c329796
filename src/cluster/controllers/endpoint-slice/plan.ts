import { isDeepStrictEqual } from 'node:util';
import { type k8s, resources, type Stored } from '../../../api/mod.ts';
import { shortHash } from '../../../kernel/mod.ts';
import type { Plan } from '../../../client/mod.ts';
import { controllerReference } from '../ownership/claim.ts';
import { type AddressType, addressTypesOf, type EndpointGroup, groupEndpoints, type Service } from './endpoints.ts';

export const serviceNameLabel = 'kubernetes.io/service-name';
export const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
export const managedBy = 'endpointslice-controller.k8s.io';

type Slice = Stored<k8s.EndpointSlice>;

/** How many endpoints one slice holds at most. */
export const maxEndpointsPerSlice = 100;

export interface ObservedService {
  readonly service: Service;
  /** The pods that the Service selects. */
  readonly pods: readonly Stored<k8s.Pod>[];
  /** The slices of this Service that this controller made. */
  readonly slices: readonly Slice[];
  readonly zoneOf: (node: string) => string | undefined;
}

export type SliceAction =
  | { type: 'create'; slice: k8s.EndpointSlice }
  | { type: 'update'; slice: Slice }
  | { type: 'delete'; slice: Slice };

/**
 * The writes that make the slices say what the pods are. Endpoints stay in the slice they are in; new ones fill free room, so that one
 * changed pod is one written slice. A Service without endpoints keeps one empty slice: "no endpoints" differs from "not looked at yet".
 */
export function planEndpointSlices(observed: ObservedService): Plan<SliceAction, never> {
  const { service, pods, slices, zoneOf } = observed;
  if (service.metadata.deletionTimestamp !== undefined) return { actions: [] };
  const actions: SliceAction[] = [];
  const kept = new Set<Slice>();
  for (const addressType of addressTypesOf(service)) {
    const groups = groupEndpoints(service, pods, addressType, zoneOf);
    const ofType = slices.filter((slice) => slice.addressType === addressType);
    for (const group of groups.length > 0 ? groups : [emptyGroup(service)]) {
      const same = ofType.filter((slice) => isDeepStrictEqual(slice.ports ?? [], group.ports));
      actions.push(...planGroup(service, addressType, group, same, kept, slices));
    }
  }
  for (const slice of slices) if (!kept.has(slice)) actions.push({ type: 'delete', slice });
  return { actions };
}

/** Numeric target ports are known without a pod. */
function emptyGroup({ spec }: Service): EndpointGroup {
  const ports = (spec.ports ?? []).flatMap(({ name, port, targetPort, protocol, appProtocol }) => {
    const target = targetPort ?? port;
    return typeof target === 'number' ? [{ name: name ?? '', port: target === 0 ? port : target, protocol: protocol ?? 'TCP', ...(appProtocol === undefined ? {} : { appProtocol }) }] : [];
  });
  return { ports, endpoints: [] };
}

function planGroup(service: Service, addressType: AddressType, group: EndpointGroup, same: readonly Slice[], kept: Set<Slice>, all: readonly Slice[]): SliceAction[] {
  const waiting = new Map(group.endpoints.map((endpoint) => [endpoint.targetRef?.uid ?? endpoint.addresses[0] ?? '', endpoint]));
  const filled = same.map((slice) => ({ slice, endpoints: (slice.endpoints ?? []).flatMap((endpoint) => takeFrom(waiting, endpoint.targetRef?.uid ?? '')) }));
  const fresh = [...waiting.values()];
  // Fuller slices first: sparse ones run empty and go.
  for (const entry of filled.toSorted((a, b) => b.endpoints.length - a.endpoints.length)) entry.endpoints.push(...fresh.splice(0, Math.max(0, maxEndpointsPerSlice - entry.endpoints.length)));
  const actions: SliceAction[] = [];
  const isOnlyOne = filled.every(({ endpoints }) => endpoints.length === 0) && fresh.length === 0;
  for (const [index, { slice, endpoints }] of filled.entries()) {
    if (endpoints.length === 0 && !(isOnlyOne && index === 0)) continue;
    kept.add(slice);
    const metadata = { ...slice.metadata, labels: labelsOf(service), ownerReferences: [controllerReference(resources.services, service)] };
    const next = { ...slice, metadata, endpoints };
    if (!isDeepStrictEqual({ labels: slice.metadata.labels, endpoints: slice.endpoints ?? [] }, { labels: metadata.labels, endpoints })) actions.push({ type: 'update', slice: next });
  }
  const names = new Set(all.map(({ metadata }) => metadata.name));
  const create = (endpoints: k8s.Endpoint[]): void => void actions.push({ type: 'create', slice: newSlice(service, addressType, group.ports, endpoints, names) });
  if (filled.length === 0 && fresh.length === 0) create([]);
  while (fresh.length > 0) create(fresh.splice(0, maxEndpointsPerSlice));
  return actions;
}

function takeFrom(waiting: Map<string, k8s.Endpoint>, uid: string): k8s.Endpoint[] {
  const endpoint = waiting.get(uid);
  waiting.delete(uid);
  return endpoint === undefined ? [] : [endpoint];
}

/** The name follows from the content, so that a second creation out of a stale cache is refused. */
function newSlice(service: Service, addressType: AddressType, ports: k8s.EndpointPort[], endpoints: k8s.Endpoint[], names: Set<string>): k8s.EndpointSlice {
  const prefix = service.metadata.name.slice(0, 50);
  let index = 0;
  const nameOf = (): string => `${prefix}-${shortHash(JSON.stringify([service.metadata.uid, addressType, ports, index]), 6)}`;
  while (names.has(nameOf())) index += 1;
  names.add(nameOf());
  return {
    metadata: { name: nameOf(), generateName: `${prefix}-`, namespace: service.metadata.namespace, labels: labelsOf(service), ownerReferences: [controllerReference(resources.services, service)] },
    addressType,
    endpoints,
    ports,
  };
}

/** The label by which clients tell endpoints of a headless Service. */
export function headlessLabels({ spec }: k8s.Service): Record<string, string> {
  return spec?.clusterIP === 'None' ? { 'service.kubernetes.io/headless': '' } : {};
}

function labelsOf(service: Service): Record<string, string> {
  return { ...service.metadata.labels, ...headlessLabels(service), [serviceNameLabel]: service.metadata.name, [managedByLabel]: managedBy };
}
