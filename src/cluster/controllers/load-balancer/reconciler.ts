import { type k8s, keyOf, resources, type Stored } from '../../../api/mod.ts';
import { Controller, type Plan, type Reconciler } from '../../../client/mod.ts';
import type { ControllerSettings } from '../config.ts';
import type { ControllerContext } from '../context.ts';
import { writeStatus } from '../write-status.ts';
import { proxiedPorts } from './proxied-ports.ts';

const kind = resources.services;
type Service = Stored<k8s.Service>;

/** What this cluster's own balancer is called in `loadBalancerClass`. */
export const hostPortClass = 'gantry.dev/host-ports';

export interface ObservedBalancer {
  readonly service: Service;
  /** Services of this class, itself included. */
  readonly services: readonly Service[];
  readonly addresses: readonly string[];
  /** `tcp/53`: ports that are not to be taken. */
  readonly reserved: ReadonlySet<string>;
  /** Ports that the nodes' HTTP proxy has, with what it has them for. */
  readonly proxied: ReadonlyMap<string, string>;
}

interface Action { readonly type: 'tell'; readonly reason: string; readonly message: string }

/** Which host ports a Service gets: of two that want the same one, the older has it. What the HTTP proxy has is given to nobody, nor is what somebody has taken away for it. */
export function planBalancer({ service, services, addresses, reserved, proxied }: ObservedBalancer): Plan<Action, k8s.ServiceStatus> {
  if (!isOurs(service)) return { actions: [], ...(service.spec?.type !== 'LoadBalancer' && (service.status?.loadBalancer?.ingress ?? []).length > 0 ? { status: { ...service.status, loadBalancer: {} } } : {}) };
  const own = portsOf(service);
  const given = new Set((service.status?.loadBalancer?.ingress ?? []).flatMap(({ ports: had = [] }) => had.map(({ port, protocol }) => `${protocol.toLowerCase()}/${port}`)));
  const holder = (port: string): string | undefined => {
    if (reserved.has(port)) return 'the node itself';
    const older = services.find((other) => other !== service && isOlder(other, service) && portsOf(other).includes(port));
    return older?.metadata.name ?? (given.has(port) ? undefined : proxied.get(port));
  };
  const taken = own.flatMap((port) => (holder(port) === undefined ? [] : [`${port} (${holder(port) ?? ''})`]));
  const ports = (service.spec?.ports ?? []).map(({ port, protocol = 'TCP' }) => ({ port, protocol }));
  if (taken.length > 0) return { actions: [{ type: 'tell', reason: 'PortsTaken', message: `host ports are taken: ${taken.join(', ')}` }], status: { ...service.status, loadBalancer: {} } };
  return { actions: [], status: { ...service.status, loadBalancer: { ingress: addresses.map((ip) => ({ ip, ipMode: 'VIP', ports })) } } };
}

function isOurs({ spec }: k8s.Service): boolean {
  return spec?.type === 'LoadBalancer' && (spec.loadBalancerClass === undefined || spec.loadBalancerClass === hostPortClass);
}

function portsOf({ spec }: k8s.Service): string[] {
  return (spec?.ports ?? []).map(({ port, protocol = 'TCP' }) => `${protocol.toLowerCase()}/${port}`);
}

function isOlder(a: Service, b: Service): boolean {
  return a.metadata.creationTimestamp < b.metadata.creationTimestamp || (a.metadata.creationTimestamp === b.metadata.creationTimestamp && a.metadata.uid < b.metadata.uid);
}

/** Gives Services of type LoadBalancer the ports of the nodes. The proxies open what the status says. */
export function loadBalancerController(context: ControllerContext, settings: ControllerSettings): Controller<ObservedBalancer, Action, k8s.ServiceStatus> {
  const services = context.informers.of(kind);
  const nodes = context.informers.of(resources.nodes);
  const reserved = new Set(settings.reservedPorts);
  const ingresses = context.informers.of(resources.ingresses);
  const classes = context.informers.of(resources.ingressClasses);
  const gateways = settings.hasGateways ? context.informers.of(resources.gateways) : undefined;
  const ours = (): Service[] => services.list().filter(isOurs);
  const reconciler: Reconciler<ObservedBalancer, Action, k8s.ServiceStatus> = {
    name: 'load-balancer',
    observe: (key) => {
      const service = services.get(key);
      if (service === undefined || service.metadata.deletionTimestamp !== undefined) return undefined;
      return { service, services: ours(), addresses: addressesOf(nodes.list()), reserved, proxied: proxiedPorts({ ingresses: ingresses.list(), classes: classes.list(), gateways: gateways?.list() ?? [] }) };
    },
    plan: planBalancer,
    act: (action, { service }) => Promise.resolve(context.events.warning(service, action.reason, action.message)),
    report: (status, { service }, signal) => writeStatus(context.client, kind, service, status, signal),
  };
  const keys = (): string[] => ours().map(keyOf);
  const controller = new Controller(reconciler, { ...context.controllerOptions }, context.log)
    .watch(services, (service) => (isOurs(service) ? [...new Set([keyOf(service), ...keys()])] : [keyOf(service)]))
    .watch(nodes, keys, (change) => change.type !== 'modified' || JSON.stringify(change.previous.status?.addresses) !== JSON.stringify(change.object.status?.addresses))
    .watch(ingresses, keys)
    .watch(classes, keys);
  return gateways === undefined ? controller : controller.watch(gateways, keys);
}

/** Where a node is reached: from outside where that is known. */
function addressesOf(nodes: readonly Stored<k8s.Node>[]): string[] {
  return nodes.flatMap(({ status }) => {
    const of = (type: string): string[] => (status?.addresses ?? []).filter((one) => one.type === type).map(({ address }) => address);
    return of('ExternalIP').length > 0 ? of('ExternalIP') : of('InternalIP');
  });
}
