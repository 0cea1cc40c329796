import { resources, type k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import type { PrepareContext, Strategy } from './kind.ts';
import type { ServiceAllocator } from './service-allocator.ts';
import { isReachableOutside, serviceTypes, validateService } from './service-validation.ts';

/** Services, with addresses and node ports from the allocator. */
export function serviceStrategy(allocator: ServiceAllocator): Strategy<k8s.Service> {
  return {
    defaults: defaultService,
    prepareCreate(service, context) {
      service.status = { loadBalancer: {} };
      allocate(allocator, service, undefined, context);
    },
    prepareUpdate(service, old, context) {
      keepAllocated(service, old);
      allocate(allocator, service, old, context);
    },
    validate: (service, errors) => validateService(allocator, service, errors),
    validateUpdate({ spec }, { spec: old }, errors) {
      const isKept = old?.type !== 'ExternalName' && spec?.type !== 'ExternalName';
      if (isKept && (old?.clusterIP ?? '') !== '' && spec?.clusterIP !== old?.clusterIP) errors.invalid('spec.clusterIPs[0]', spec?.clusterIPs ?? [], 'may not change once set');
    },
  };
}

function defaultService({ spec }: k8s.Service): void {
  if (spec === undefined) return;
  spec.type ||= 'ClusterIP';
  spec.sessionAffinity ||= 'None';
  if (spec.sessionAffinity === 'ClientIP') {
    spec.sessionAffinityConfig ??= {};
    spec.sessionAffinityConfig.clientIP ??= {};
    spec.sessionAffinityConfig.clientIP.timeoutSeconds ??= 10_800;
  }
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP';
    if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === '') port.targetPort = port.port;
  }
  if (spec.type === 'ExternalName') return;
  spec.internalTrafficPolicy ||= 'Cluster';
  spec.ipFamilyPolicy ??= 'SingleStack';
  spec.ipFamilies ??= ['IPv4'];
  if (isReachableOutside(spec)) spec.externalTrafficPolicy ||= 'Cluster';
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
  if (spec.clusterIP === undefined && spec.clusterIPs?.[0] !== undefined) spec.clusterIP = spec.clusterIPs[0];
}

/** What the server gave before and the user's new version does not mention stays. */
function keepAllocated({ spec }: k8s.Service, { spec: old }: k8s.Service): void {
  if (spec === undefined || old === undefined) return;
  if (spec.type !== 'ExternalName' && old.type !== 'ExternalName' && (spec.clusterIP ?? '') === '' && old.clusterIP !== undefined) {
    spec.clusterIP = old.clusterIP;
    if (old.clusterIPs !== undefined) spec.clusterIPs = old.clusterIPs;
  }
  if (!isReachableOutside(spec)) {
    // A type without node ports gives back the ones that were only carried along.
    for (const port of spec.ports ?? []) if (old.ports?.some(({ nodePort }) => nodePort === port.nodePort) === true) delete port.nodePort;
    if (isReachableOutside(old)) delete spec.externalTrafficPolicy;
    return;
  }
  for (const port of spec.ports ?? []) {
    const before = old.ports?.find((had) => had.port === port.port && had.protocol === port.protocol);
    if ((port.nodePort ?? 0) === 0 && before?.nodePort !== undefined) port.nodePort = before.nodePort;
  }
}

function allocate(allocator: ServiceAllocator, service: k8s.Service, old: k8s.Service | undefined, context: PrepareContext): void {
  const { spec } = service;
  if (spec === undefined || !serviceTypes.includes(spec.type ?? '')) return;
  if (spec.type === 'ExternalName') {
    delete spec.clusterIP;
    delete spec.clusterIPs;
    return;
  }
  const used = usedBy(context, service);
  if ((spec.clusterIP ?? '') === '') spec.clusterIP = allocator.chooseAddress(used.addresses);
  spec.clusterIPs ??= [spec.clusterIP ?? ''];
  const chosen: number[] = [];
  if (isReachableOutside(spec) && spec.allocateLoadBalancerNodePorts !== false) {
    for (const port of spec.ports ?? []) {
      if ((port.nodePort ?? 0) === 0) port.nodePort = sharedNodePort(spec, port) ?? allocator.choosePort(new Set([...used.ports, ...chosen]));
      chosen.push(port.nodePort ?? 0);
    }
  }
  const fresh = (spec.ports ?? []).flatMap(({ nodePort }) => (nodePort === undefined || nodePort === 0 || old?.spec?.ports?.some((had) => had.nodePort === nodePort) === true ? [] : [nodePort]));
  const address = spec.clusterIP === 'None' || spec.clusterIP === old?.spec?.clusterIP ? undefined : spec.clusterIP;
  refuseTaken(allocator, spec, address, fresh, used, context.problems);
  context.onFinished(allocator.hold(address, fresh));
}

/** TCP and UDP of one port number share a node port. */
function sharedNodePort(spec: k8s.ServiceSpec, port: k8s.ServicePort): number | undefined {
  return spec.ports?.find((other) => other !== port && other.port === port.port && other.protocol !== port.protocol && (other.nodePort ?? 0) !== 0)?.nodePort;
}

function usedBy(context: PrepareContext, service: k8s.Service): { addresses: Set<string>; ports: Set<number> } {
  const addresses = new Set<string>();
  const ports = new Set<number>();
  for (const other of context.list(resources.services)) {
    if (other.metadata.uid === service.metadata?.uid) continue;
    const { spec } = other as k8s.Service;
    if (spec?.clusterIP !== undefined) addresses.add(spec.clusterIP);
    for (const { nodePort } of spec?.ports ?? []) if (nodePort !== undefined) ports.add(nodePort);
  }
  return { addresses, ports };
}

/** What somebody else has, or is about to have. */
function refuseTaken(allocator: ServiceAllocator, spec: k8s.ServiceSpec, address: string | undefined, ports: readonly number[], used: ReturnType<typeof usedBy>, problems: FieldErrors): void {
  if (address !== undefined && (used.addresses.has(address) || allocator.isPendingAddress(address))) {
    problems.invalid('spec.clusterIPs', [address], `failed to allocate IP ${address}: provided IP is already allocated`);
  }
  for (const port of ports) {
    const index = spec.ports?.findIndex(({ nodePort }) => nodePort === port) ?? -1;
    if (used.ports.has(port) || allocator.isPendingPort(port)) problems.invalid(`spec.ports[${index}].nodePort`, port, 'provided port is already allocated');
  }
}
