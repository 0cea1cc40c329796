import { type gatewayApi, keyOf, selectorMatches } from '../../api/mod.ts';
import { certificateOf } from './certificates.ts';
import { fails, holds, type Verdict } from './gateway-conditions.ts';
import { type Gateway, gatewayGroup, type GatewayInputs, isGranted, type Route } from './gateway-inputs.ts';
import type { Certificate } from './model.ts';

/** A listener of a Gateway with what was found out about it. */
export interface PlannedListener {
  readonly gateway: Gateway;
  readonly listener: gatewayApi.GatewayListener;
  readonly isTls: boolean;
  readonly certificates: readonly Certificate[];
  readonly kinds: readonly gatewayApi.RouteKind[];
  readonly verdicts: readonly Verdict[];
  readonly isUsable: boolean;
}

/** Every listener of the Gateways, which come by age: of two Gateways that want a port for different protocols the older has it. */
export function planListeners(inputs: GatewayInputs, gateways: readonly Gateway[]): PlannedListener[] {
  const protocols = new Map<number, boolean>();
  return gateways.flatMap((gateway) => {
    const planned = gateway.spec.listeners.map((listener) => planListener(inputs, gateway, listener, protocols));
    for (const { isUsable, listener, isTls } of planned) if (isUsable) protocols.set(listener.port, isTls);
    return planned;
  });
}

function planListener(inputs: GatewayInputs, gateway: Gateway, listener: gatewayApi.GatewayListener, protocols: ReadonlyMap<number, boolean>): PlannedListener {
  const isTls = listener.protocol === 'HTTPS';
  const conflict = conflictOf(gateway, listener);
  const problem = (protocols.get(listener.port) ?? isTls) !== isTls ? `port ${listener.port} has another protocol in an older Gateway` : inputs.portProblem(listener.port, isTls);
  const { certificates, problems } = isTls ? certificatesOf(inputs, gateway, listener) : { certificates: [], problems: [] };
  const wanted = listener.allowedRoutes?.kinds ?? [];
  const isKnown = ({ group = gatewayGroup, kind }: gatewayApi.RouteKind): boolean => group === gatewayGroup && kind === 'HTTPRoute';
  const kinds = wanted.length === 0 || wanted.some(isKnown) ? [{ group: gatewayGroup, kind: 'HTTPRoute' }] : [];
  if (!wanted.every(isKnown)) problems.push(fails('ResolvedRefs', 'InvalidRouteKinds', 'only HTTPRoutes can be attached'));
  const isUsable = conflict === undefined && problem === undefined && (!isTls || certificates.length > 0) && kinds.length > 0;
  const verdicts = [
    conflict === undefined && problem === undefined ? holds('Accepted') : fails('Accepted', conflict === undefined ? 'PortUnavailable' : conflict.reason, conflict?.message ?? problem ?? ''),
    conflict === undefined ? fails('Conflicted', 'NoConflicts', '') : { type: 'Conflicted', status: 'True' as const, ...conflict },
    problems[0] === undefined ? holds('ResolvedRefs') : { ...problems[0], message: problems.map(({ message }) => message).join('; ') },
    isUsable ? holds('Programmed') : fails('Programmed', 'Invalid', 'see the other conditions'),
  ];
  return { gateway, listener, isTls, certificates, kinds, verdicts, isUsable };
}

/** Listeners of one Gateway that cannot be told apart are none of them accepted. */
function conflictOf({ spec }: Gateway, listener: gatewayApi.GatewayListener): { reason: string; message: string } | undefined {
  const others = spec.listeners.filter((other) => other !== listener && other.port === listener.port);
  if (others.some(({ protocol }) => protocol !== listener.protocol)) return { reason: 'ProtocolConflict', message: `port ${listener.port} is wanted with two protocols` };
  if (others.some(({ hostname }) => hostname === listener.hostname)) return { reason: 'HostnameConflict', message: `port ${listener.port} is wanted twice for ${listener.hostname ?? 'every host'}` };
  return undefined;
}

function certificatesOf({ grants, secret }: GatewayInputs, gateway: Gateway, listener: gatewayApi.GatewayListener): { certificates: Certificate[]; problems: Verdict[] } {
  const own = gateway.metadata.namespace ?? '';
  const certificates: Certificate[] = [];
  const problems: Verdict[] = [];
  const refuse = (reason: string, message: string): number => problems.push(fails('ResolvedRefs', reason, message));
  for (const { group = '', kind = 'Secret', namespace = own, name } of listener.tls?.certificateRefs ?? []) {
    const key = keyOf({ namespace, name });
    if (group !== '' || kind !== 'Secret') refuse('InvalidCertificateRef', `${kind} ${key} is not a Secret`);
    else if (!isGranted(grants, { kind: 'Gateway', namespace: own }, { kind, namespace, name })) refuse('RefNotPermitted', `no ReferenceGrant in ${namespace} lets Gateways of ${own} name secret ${name}`);
    else {
      const certificate = certificateOf(secret(namespace, name), key, listener.hostname === undefined ? [] : [listener.hostname]);
      if (typeof certificate === 'string') refuse('InvalidCertificateRef', certificate);
      else certificates.push(certificate);
    }
  }
  if (certificates.length === 0 && problems.length === 0) refuse('InvalidCertificateRef', 'an HTTPS listener needs certificateRefs');
  return { certificates, problems };
}

/** Whether the listener takes routes of the route's kind and namespace. */
export function mayAttach({ gateway, listener, kinds }: PlannedListener, route: Route, namespaces: GatewayInputs['namespaces']): boolean {
  if (kinds.length === 0) return false;
  const { from = 'Same', selector } = listener.allowedRoutes?.namespaces ?? {};
  if (from === 'All') return true;
  if (from === 'Same') return route.metadata.namespace === gateway.metadata.namespace;
  const labels = namespaces.find(({ metadata }) => metadata.name === route.metadata.namespace)?.metadata.labels;
  return selector !== undefined && labels !== undefined && selectorMatches(selector, labels);
}

/** Whether the second pattern is one of the hosts of the first. */
export function covers(pattern: string | undefined, host: string): boolean {
  return pattern === undefined || pattern === host || (pattern.startsWith('*.') && host.endsWith(pattern.slice(1)));
}

/** The hosts of a route that are a listener's; undefined when there is none. `more` are listeners' hosts of the same port: what they cover more exactly is theirs. */
export function hostsOf(wanted: readonly string[], own: string | undefined, more: readonly string[]): (string | undefined)[] | undefined {
  const both = wanted.length === 0 ? [own] : wanted.flatMap((host) => (covers(own, host) ? [host] : own !== undefined && covers(host, own) ? [own] : []));
  const closer = more.filter((other) => other !== own && covers(own, other));
  const left = [...new Set(both)].filter((host) => host === undefined || !closer.some((other) => covers(other, host)));
  return left.length === 0 ? undefined : left;
}
