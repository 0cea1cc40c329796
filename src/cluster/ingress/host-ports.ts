import { type k8s, keyOf, type Stored } from '../../api/mod.ts';

/** Node ports of TCP that Services of type LoadBalancer have, with who has them. Their rules stand before every program's sockets. */
export function balancedPorts(services: readonly Stored<k8s.Service>[]): ReadonlyMap<number, string> {
  const given = services.flatMap((service) => {
    const { type, loadBalancerClass = 'gantry.dev/host-ports' } = service.spec ?? {};
    if (type !== 'LoadBalancer' || loadBalancerClass !== 'gantry.dev/host-ports') return [];
    return (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ports = [] }) => ports.filter(({ protocol }) => protocol === 'TCP').map(({ port }) => [port, `port ${port} belongs to Service ${keyOf(service)} of type LoadBalancer`] as const));
  });
  return new Map(given);
}
