import type { k8s, Stored } from '../../../api/mod.ts';
import { isFinished, isReady } from '../pods/readiness.ts';

export type Service = Stored<k8s.Service> & { spec: k8s.ServiceSpec };
export type AddressType = 'IPv4' | 'IPv6';

/** Endpoints that share their ports: named target ports may differ from pod to pod. */
export interface EndpointGroup {
  readonly ports: k8s.EndpointPort[];
  readonly endpoints: k8s.Endpoint[];
}

/** The pods behind a Service as endpoints, in groups of equal ports. A Service with pods but without any usable port has no group for them. */
export function groupEndpoints(service: Service, pods: readonly Stored<k8s.Pod>[], addressType: AddressType, zoneOf: (node: string) => string | undefined): EndpointGroup[] {
  const groups = new Map<string, EndpointGroup>();
  for (const pod of pods) {
    const address = addressOf(pod, addressType);
    if (address === undefined || isFinished(pod)) continue;
    const ports = portsOf(service, pod);
    if (ports.length === 0 && (service.spec.ports ?? []).length > 0) continue;
    const key = JSON.stringify(ports);
    const group = groups.get(key) ?? { ports, endpoints: [] };
    group.endpoints.push(toEndpoint(service, pod, address, zoneOf));
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** The address families a Service wants endpoints of. */
export function addressTypesOf({ spec }: Service): AddressType[] {
  const families = spec.ipFamilies ?? [];
  return families.length === 0 ? ['IPv4'] : families.filter((family): family is AddressType => family === 'IPv4' || family === 'IPv6');
}

function addressOf(pod: k8s.Pod, addressType: AddressType): string | undefined {
  const addresses = [...(pod.status?.podIPs ?? []).map(({ ip }) => ip), pod.status?.podIP];
  return addresses.find((ip) => ip !== undefined && ip !== '' && (ip.includes(':') ? 'IPv6' : 'IPv4') === addressType);
}

function portsOf(service: Service, pod: k8s.Pod): k8s.EndpointPort[] {
  return (service.spec.ports ?? []).flatMap((servicePort) => {
    const protocol = servicePort.protocol ?? 'TCP';
    const port = targetPort(servicePort, protocol, pod);
    if (port === undefined) return [];
    return [{ name: servicePort.name ?? '', port, protocol, ...(servicePort.appProtocol === undefined ? {} : { appProtocol: servicePort.appProtocol }) }];
  });
}

function targetPort(servicePort: k8s.ServicePort, protocol: string, pod: k8s.Pod): number | undefined {
  const target = servicePort.targetPort ?? servicePort.port;
  if (typeof target === 'number') return target === 0 ? servicePort.port : target;
  // Restartable init containers (sidecars) serve too.
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')];
  return containers.flatMap(({ ports }) => ports ?? []).find((port) => port.name === target && (port.protocol ?? 'TCP') === protocol)?.containerPort;
}

function toEndpoint(service: Service, pod: Stored<k8s.Pod>, address: string, zoneOf: (node: string) => string | undefined): k8s.Endpoint {
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const serving = isReady(pod);
  const { nodeName, hostname, subdomain } = pod.spec ?? {};
  const zone = nodeName === undefined ? undefined : zoneOf(nodeName);
  return {
    addresses: [address],
    conditions: { ready: service.spec.publishNotReadyAddresses === true || (serving && !terminating), serving, terminating },
    targetRef: { kind: 'Pod', namespace: pod.metadata.namespace, name: pod.metadata.name, uid: pod.metadata.uid },
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(zone === undefined ? {} : { zone }),
    // DNS gives such pods a name of their own under the Service.
    ...(hostname !== undefined && hostname !== '' && subdomain === service.metadata.name ? { hostname } : {}),
  };
}
