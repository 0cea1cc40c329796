import { type gatewayApi, type k8s, keyOf, type Stored } from '../../api/mod.ts';
import { certificateOf } from './certificates.ts';
import type { EndpointView } from './endpoints.ts';
import { filtersOf, redirectOf, timeoutMs } from './gateway-filters.ts';
import { type Certificate, type HttpListener, type HttpRoute, inMatchOrder } from './model.ts';

/** What GatewayClasses name to be served here. */
export const gatewayController = 'gantry.dev/haproxy';
const group = 'gateway.networking.k8s.io';

type Gateway = Stored<gatewayApi.Gateway>;
type Route = Stored<gatewayApi.HTTPRoute>;

export interface GatewayInputs {
  readonly classes: readonly Stored<gatewayApi.GatewayClass>[];
  readonly gateways: readonly Gateway[];
  readonly routes: readonly Route[];
  readonly endpoints: EndpointView;
  readonly secret: (namespace: string, name: string) => k8s.Secret | undefined;
  readonly addresses: readonly string[];
  readonly now: string;
}

export interface GatewayPlan {
  readonly listeners: readonly HttpListener[];
  readonly classStatuses: readonly { object: Stored<gatewayApi.GatewayClass>; status: { conditions: k8s.Condition[] } }[];
  readonly gatewayStatuses: readonly { object: Gateway; status: gatewayApi.GatewayStatus }[];
  readonly routeStatuses: readonly { object: Route; status: { parents: gatewayApi.RouteParentStatus[] } }[];
}

/** Gateways of our classes and the routes attached to them as listeners, with what each of them is told. */
export function planGateways(inputs: GatewayInputs): GatewayPlan {
  const { classes, gateways, routes, now } = inputs;
  const ours = classes.filter(({ spec }) => spec.controllerName === gatewayController);
  const names = new Set(ours.map(({ metadata }) => metadata.name));
  const served = gateways.filter(({ spec, metadata }) => names.has(spec.gatewayClassName) && metadata.deletionTimestamp === undefined).toSorted(byAge);
  const parents = new Map<Route, gatewayApi.RouteParentStatus[]>();
  const listeners = new Map<string, { port: number; isTls: boolean; routes: HttpRoute[]; certificates: Map<string, Certificate> }>();
  const gatewayStatuses = served.map((gateway) => {
    const statuses = gateway.spec.listeners.map((listener) => planListener(inputs, gateway, listener, listeners, parents));
    return { object: gateway, status: gatewayStatus(gateway, statuses, inputs) };
  });
  const routeStatuses = routes.flatMap((route) => {
    // A parent that several listeners answered for is accepted when one of them accepts it.
    const said = new Map<string, gatewayApi.RouteParentStatus>();
    for (const one of parents.get(route) ?? []) {
      const key = JSON.stringify(one.parentRef);
      if (said.get(key)?.conditions[0]?.status !== 'True') said.set(key, one);
    }
    const own = [...said.values()].map((one) => ({ ...one, conditions: settled(route.status?.parents.find(({ parentRef }) => JSON.stringify(parentRef) === JSON.stringify(one.parentRef))?.conditions, one.conditions) }));
    const others = (route.status?.parents ?? []).filter(({ controllerName }) => controllerName !== gatewayController);
    return own.length === 0 && (route.status?.parents.length ?? 0) === others.length ? [] : [{ object: route, status: { parents: [...others, ...own] } }];
  });
  const accepted = condition('Accepted', 'True', 'Accepted', '', now);
  return {
    listeners: [...listeners.values()].map(({ port, isTls, routes: own, certificates }) => ({ port, routes: inMatchOrder(own), ...(isTls ? { certificates: [...certificates.values()] } : {}) })),
    classStatuses: ours.map((object) => ({ object, status: { conditions: settled(object.status?.conditions, [{ ...accepted, observedGeneration: object.metadata.generation }]) } })),
    gatewayStatuses,
    routeStatuses,
  };
}

type Listeners = Map<string, { port: number; isTls: boolean; routes: HttpRoute[]; certificates: Map<string, Certificate> }>;
type ListenerStatus = NonNullable<gatewayApi.GatewayStatus['listeners']>[number];

function planListener(inputs: GatewayInputs, gateway: Gateway, listener: gatewayApi.GatewayListener, listeners: Listeners, parents: Map<Route, gatewayApi.RouteParentStatus[]>): ListenerStatus {
  const { now, secret } = inputs;
  const namespace = gateway.metadata.namespace ?? '';
  const isTls = listener.protocol === 'HTTPS';
  const key = String(listener.port);
  const place = listeners.get(key) ?? { port: listener.port, isTls, routes: [], certificates: new Map<string, Certificate>() };
  const conflict = place.isTls !== isTls ? 'the port is used with another protocol' : undefined;
  const problems: string[] = [];
  const certificates: Certificate[] = [];
  for (const ref of isTls ? (listener.tls?.certificateRefs ?? []) : []) {
    const isHere = (ref.namespace ?? namespace) === namespace;
    const certificate = isHere ? certificateOf(secret(namespace, ref.name), `${namespace}/${ref.name}`, listener.hostname === undefined ? [] : [listener.hostname]) : 'certificates of other namespaces are not supported';
    if (typeof certificate === 'string') problems.push(certificate);
    else certificates.push(certificate);
  }
  if (isTls && certificates.length === 0 && problems.length === 0) problems.push('an HTTPS listener needs certificateRefs');
  const isUsable = conflict === undefined && problems.length === 0;
  let attachedRoutes = 0;
  for (const route of inputs.routes) {
    for (const ref of route.spec.parentRefs ?? []) {
      if (!isMeant(ref, route, gateway, listener)) continue;
      const attached = attach(inputs, gateway, listener, route);
      const observedGeneration = route.metadata.generation;
      const conditions = attached.conditions.map((one) => ({ ...one, ...(observedGeneration === undefined ? {} : { observedGeneration }) }));
      parents.set(route, [...(parents.get(route) ?? []), { parentRef: ref, controllerName: gatewayController, conditions }]);
      if (attached.routes === undefined) continue;
      attachedRoutes += 1;
      if (isUsable) place.routes.push(...attached.routes);
    }
  }
  if (isUsable) {
    for (const certificate of certificates) place.certificates.set(certificate.key, { ...certificate, hosts: [...new Set([...(place.certificates.get(certificate.key)?.hosts ?? []), ...certificate.hosts])] });
    listeners.set(key, place);
  }
  const before = gateway.status?.listeners?.find(({ name }) => name === listener.name)?.conditions;
  const conditions = settled(before, [
    conflict === undefined ? condition('Accepted', 'True', 'Accepted', '', now) : condition('Accepted', 'False', 'ProtocolConflict', conflict, now),
    problems.length === 0 ? condition('ResolvedRefs', 'True', 'ResolvedRefs', '', now) : condition('ResolvedRefs', 'False', 'InvalidCertificateRef', problems.join('; '), now),
    condition('Programmed', isUsable ? 'True' : 'False', isUsable ? 'Programmed' : 'Invalid', '', now),
  ]);
  return { name: listener.name, attachedRoutes, supportedKinds: [{ group, kind: 'HTTPRoute' }], conditions };
}

function isMeant(ref: gatewayApi.ParentReference, route: Route, gateway: Gateway, listener: gatewayApi.GatewayListener): boolean {
  if ((ref.group ?? group) !== group || (ref.kind ?? 'Gateway') !== 'Gateway' || ref.name !== gateway.metadata.name) return false;
  if ((ref.namespace ?? route.metadata.namespace) !== gateway.metadata.namespace) return false;
  return (ref.sectionName === undefined || ref.sectionName === listener.name) && (ref.port === undefined || ref.port === listener.port);
}

interface Attached { readonly conditions: k8s.Condition[]; readonly routes?: HttpRoute[] }

function attach({ endpoints, now }: GatewayInputs, gateway: Gateway, listener: gatewayApi.GatewayListener, route: Route): Attached {
  const refuse = (reason: string, message: string): Attached => ({ conditions: [condition('Accepted', 'False', reason, message, now), condition('ResolvedRefs', 'True', 'ResolvedRefs', '', now)] });
  if ((listener.allowedRoutes?.namespaces?.from ?? 'Same') === 'Same' && route.metadata.namespace !== gateway.metadata.namespace) return refuse('NotAllowedByListeners', 'the listener takes routes of its own namespace only');
  const hosts = hostsOf(route.spec.hostnames ?? [], listener.hostname);
  if (hosts === undefined) return refuse('NoMatchingListenerHostname', 'no host of the route is one of the listener');
  const problems: string[] = [];
  const routes = hosts.flatMap((host) => (route.spec.rules ?? []).flatMap((rule, index) => rulesOf(route, rule, `${keyOf(gateway)} ${listener.name} ${host ?? '*'} ${index}`, host, endpoints, problems)));
  const resolved = problems.length === 0 ? condition('ResolvedRefs', 'True', 'ResolvedRefs', '', now) : condition('ResolvedRefs', 'False', 'BackendNotFound', [...new Set(problems)].join('; '), now);
  return { conditions: [condition('Accepted', 'True', 'Accepted', '', now), resolved], routes };
}

function rulesOf(route: Route, rule: gatewayApi.HTTPRouteRule, place: string, host: string | undefined, endpoints: EndpointView, problems: string[]): HttpRoute[] {
  const namespace = route.metadata.namespace ?? '';
  const targets = (rule.backendRefs ?? []).flatMap(({ group: ofGroup = '', kind = 'Service', name, namespace: other = namespace, port, weight = 1 }) => {
    // Without ReferenceGrants nobody may reach into another namespace.
    const refused = ofGroup !== '' || kind !== 'Service' ? `${kind} ${name} is not a Service` : other !== namespace ? `Service ${other}/${name} is in another namespace` : undefined;
    const target = refused !== undefined || port === undefined ? undefined : endpoints.target(namespace, name, { number: port }, weight);
    if (target === undefined) problems.push(refused ?? `Service ${name} or its port ${port ?? ''} does not exist`);
    return target === undefined ? [] : [target];
  });
  const filters = filtersOf(rule.filters ?? []);
  const redirect = redirectOf(rule.filters ?? []);
  const timeouts = { requestMs: timeoutMs(rule.timeouts?.request), backendMs: timeoutMs(rule.timeouts?.backendRequest) };
  return (rule.matches ?? [{}]).map((match, index): HttpRoute => {
    const { type = 'PathPrefix', value = '/' } = match.path ?? {};
    return {
      key: `gateway ${place} ${keyOf(route)} ${index}`,
      ...(host === undefined ? {} : { host: host.startsWith('*.') ? `*${host}` : host }),
      path: { type: type === 'Exact' ? 'Exact' : 'Prefix', value: type === 'Exact' ? value : value.replace(/\/+$/, '') || '/' },
      ...(match.method === undefined ? {} : { method: match.method }),
      ...(match.headers === undefined ? {} : { headers: match.headers.map(({ name, value: wanted }) => ({ name, value: wanted })) }),
      ...(filters === undefined ? {} : { filters }),
      ...(redirect === undefined ? {} : { redirect }),
      timeouts: { ...(timeouts.requestMs === undefined ? {} : { requestMs: timeouts.requestMs }), ...(timeouts.backendMs === undefined ? {} : { backendMs: timeouts.backendMs }) },
      targets,
    };
  });
}

/** The hosts of a route that a listener has; undefined when there is none. */
function hostsOf(wanted: readonly string[], listener: string | undefined): (string | undefined)[] | undefined {
  if (wanted.length === 0) return [listener];
  if (listener === undefined) return [...wanted];
  const covers = (pattern: string, host: string): boolean => pattern === host || (pattern.startsWith('*.') && host.endsWith(pattern.slice(1)));
  const both = wanted.flatMap((host) => (covers(listener, host) ? [host] : covers(host, listener) ? [listener] : []));
  return both.length === 0 ? undefined : both;
}

function gatewayStatus(gateway: Gateway, listeners: ListenerStatus[], { addresses, now }: GatewayInputs): gatewayApi.GatewayStatus {
  const isProgrammed = listeners.some(({ conditions }) => conditions.some(({ type, status }) => type === 'Programmed' && status === 'True'));
  const observedGeneration = gateway.metadata.generation;
  const all = [condition('Accepted', 'True', 'Accepted', '', now), condition('Programmed', isProgrammed ? 'True' : 'False', isProgrammed ? 'Programmed' : 'Invalid', isProgrammed ? '' : 'no listener can be served', now)];
  return { addresses: addresses.map((value) => ({ type: 'IPAddress', value })), conditions: settled(gateway.status?.conditions, all.map((one) => ({ ...one, ...(observedGeneration === undefined ? {} : { observedGeneration }) }))), listeners };
}

function condition(type: string, status: string, reason: string, message: string, lastTransitionTime: string): k8s.Condition {
  return { type, status, reason, message, lastTransitionTime };
}

/** What did not change keeps its time. */
function settled(before: readonly k8s.Condition[] | undefined, now: readonly k8s.Condition[]): k8s.Condition[] {
  return now.map((one) => {
    const known = before?.find(({ type }) => type === one.type);
    return known?.status === one.status ? { ...one, lastTransitionTime: known.lastTransitionTime } : one;
  });
}

function byAge(a: Gateway, b: Gateway): number {
  return a.metadata.creationTimestamp < b.metadata.creationTimestamp ? -1 : 1;
}
