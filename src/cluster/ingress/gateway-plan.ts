import { isDeepStrictEqual } from 'node:util';
import { type gatewayApi, type k8s, proxyController, type Stored } from '../../api/mod.ts';
import { fails, holds, settle, type Verdict } from './gateway-conditions.ts';
import { byAge, type Gateway, gatewayGroup, type GatewayInputs, type Route } from './gateway-inputs.ts';
import { hostsOf, mayAttach, type PlannedListener, planListeners } from './gateway-listeners.ts';
import { resolve, routesOf, unsupportedIn } from './gateway-routes.ts';
import { type HttpListener, type HttpRoute, inMatchOrder, mergeCertificates } from './model.ts';

export interface GatewayPlan {
  readonly listeners: readonly HttpListener[];
  readonly classStatuses: readonly { object: Stored<gatewayApi.GatewayClass>; status: { conditions: k8s.Condition[] } }[];
  readonly gatewayStatuses: readonly { object: Gateway; status: gatewayApi.GatewayStatus }[];
  readonly routeStatuses: readonly { object: Route; status: { parents: gatewayApi.RouteParentStatus[] } }[];
}

/** What is attached to each listener. */
type Attachments = Map<PlannedListener, { routes: HttpRoute[]; from: Set<Route> }>;

/** Gateways of our classes and the routes attached to them as listeners, with what each of them is told. */
export function planGateways(inputs: GatewayInputs): GatewayPlan {
  const { classes, gateways, now } = inputs;
  const ours = classes.filter(({ spec }) => spec.controllerName === proxyController);
  const names = new Set(ours.map(({ metadata }) => metadata.name));
  const served = gateways.filter(({ spec, metadata }) => names.has(spec.gatewayClassName) && metadata.deletionTimestamp === undefined).toSorted(byAge);
  const planned = planListeners(inputs, served);
  const attached: Attachments = new Map(planned.map((one) => [one, { routes: [], from: new Set() }]));
  const routeStatuses = inputs.routes.toSorted(byAge).flatMap((route) => {
    const parents = (route.spec.parentRefs ?? []).flatMap((ref) => {
      const gateway = served.find((one) => isParent(ref, route, one));
      if (gateway === undefined) return [];
      const verdicts = attach(inputs, route, ref, planned.filter((one) => one.gateway === gateway), planned, attached);
      const before = route.status?.parents.find((one) => one.controllerName === proxyController && isDeepStrictEqual(one.parentRef, ref))?.conditions;
      return [{ parentRef: ref, controllerName: proxyController, conditions: settle(before, verdicts, route.metadata.generation, now) }];
    });
    const others = (route.status?.parents ?? []).filter(({ controllerName }) => controllerName !== proxyController);
    return parents.length === 0 && (route.status?.parents.length ?? 0) === others.length ? [] : [{ object: route, status: { parents: [...others, ...parents] } }];
  });
  return {
    listeners: listenersOf(planned.filter(({ isUsable }) => isUsable), attached),
    classStatuses: ours.map((object) => ({ object, status: { conditions: settle(object.status?.conditions, [holds('Accepted')], object.metadata.generation, now) } })),
    gatewayStatuses: served.map((object) => ({ object, status: gatewayStatus(object, planned.filter(({ gateway }) => gateway === object), attached, inputs) })),
    routeStatuses,
  };
}

function isParent({ group = gatewayGroup, kind = 'Gateway', namespace, name }: gatewayApi.ParentReference, route: Route, gateway: Gateway): boolean {
  return group === gatewayGroup && kind === 'Gateway' && name === gateway.metadata.name && (namespace ?? route.metadata.namespace) === gateway.metadata.namespace;
}

/** Attaches a route to those listeners of a Gateway that it names and that take it, and says how that went. */
function attach(inputs: GatewayInputs, route: Route, { sectionName, port }: gatewayApi.ParentReference, own: readonly PlannedListener[], all: readonly PlannedListener[], attached: Attachments): Verdict[] {
  const resolved = resolve(inputs, route);
  const refuse = (reason: string, message: string): Verdict[] => [fails('Accepted', reason, message), resolved];
  const named = own.filter(({ listener }) => (sectionName === undefined || sectionName === listener.name) && (port === undefined || port === listener.port));
  if (named.length === 0) return refuse('NoMatchingParent', 'the Gateway has no such listener');
  const willing = named.filter((one) => mayAttach(one, route, inputs.namespaces));
  if (willing.length === 0) return refuse('NotAllowedByListeners', 'no listener takes routes of this kind and namespace');
  const fitting = willing.flatMap((one) => {
    const siblings = all.filter((other) => other.isUsable && other.listener.port === one.listener.port).flatMap(({ listener }) => listener.hostname ?? []);
    const hosts = hostsOf(route.spec.hostnames ?? [], one.listener.hostname, siblings);
    return hosts === undefined ? [] : [{ one, hosts }];
  });
  if (fitting.length === 0) return refuse('NoMatchingListenerHostname', 'no host of the route is one of the listener');
  const unsupported = unsupportedIn(route);
  if (unsupported !== undefined) return refuse('UnsupportedValue', unsupported);
  for (const { one, hosts } of fitting) {
    const place = attached.get(one);
    if (place === undefined || place.from.has(route)) continue;
    place.from.add(route);
    place.routes.push(...routesOf(inputs, one, route, hosts));
  }
  return [holds('Accepted'), resolved];
}

/** Listeners that share a port as one. What a listener has no route for is not found, though a listener of more hosts had one. */
function listenersOf(usable: readonly PlannedListener[], attached: Attachments): HttpListener[] {
  return [...Map.groupBy(usable, ({ listener }) => listener.port)].map(([port, same]) => {
    const ends = same.length === 1 ? [] : [...new Set(same.flatMap(({ listener }) => listener.hostname ?? []))].map((hostname): HttpRoute => ({ key: `end ${port} ${hostname}`, host: hostname.startsWith('*.') ? `*${hostname}` : hostname, path: { type: 'Prefix', value: '/' }, targets: [], isNotFound: true }));
    const routes = inMatchOrder([...same.flatMap((one) => attached.get(one)?.routes ?? []), ...ends]);
    return { port, routes, ...(same.some(({ isTls }) => isTls) ? { certificates: mergeCertificates(same.flatMap(({ certificates }) => certificates)) } : {}) };
  });
}

function gatewayStatus(gateway: Gateway, own: readonly PlannedListener[], attached: Attachments, { addresses, now }: GatewayInputs): gatewayApi.GatewayStatus {
  const { generation } = gateway.metadata;
  const isProgrammed = own.some(({ isUsable }) => isUsable);
  const isWhole = own.every(({ verdicts }) => verdicts.every(({ type, status }) => type === 'Conflicted' ? status === 'False' : type === 'Programmed' || status === 'True'));
  const verdicts = [isWhole ? holds('Accepted') : { ...holds('Accepted', 'ListenersNotValid'), status: isProgrammed ? ('True' as const) : ('False' as const), message: 'see the conditions of the listeners' }, isProgrammed ? holds('Programmed') : fails('Programmed', 'Invalid', 'no listener can be served')];
  return {
    addresses: addresses.map((value) => ({ type: 'IPAddress', value })),
    conditions: settle(gateway.status?.conditions, verdicts, generation, now),
    listeners: own.map((one) => {
      const before = gateway.status?.listeners?.find(({ name }) => name === one.listener.name)?.conditions;
      return { name: one.listener.name, attachedRoutes: attached.get(one)?.from.size ?? 0, supportedKinds: [...one.kinds], conditions: settle(before, one.verdicts, generation, now) };
    }),
  };
}
