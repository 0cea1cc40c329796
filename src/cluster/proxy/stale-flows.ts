import type { UdpFlow } from '../../host/mod.ts';
import type { ServicePlan } from './service-plan.ts';

/**
 * Flows of UDP that go to an endpoint which is none any more, or that began before there was one. The kernel translates all packets
 * of a flow like its first: a sender that keeps its port would never get anywhere else.
 */
export function staleFlows(flows: readonly UdpFlow[], plans: readonly ServicePlan[]): UdpFlow[] {
  const byAddress = new Map<string, ServicePlan>();
  const byNodePort = new Map<number, ServicePlan>();
  for (const plan of plans.filter(({ protocol }) => protocol === 'udp')) {
    for (const address of plan.addresses) byAddress.set(`${address}:${plan.port}`, plan);
    for (const port of [plan.nodePort, plan.balancerPort]) if (port !== 0) byNodePort.set(port, plan);
  }
  return flows.filter(({ destination, port, answeredBy, answeredFrom }) => {
    const inside = byAddress.get(`${destination}:${port}`);
    // What is answered by whom it was sent to came to this port without a Service.
    const outside = inside !== undefined || answeredBy === destination ? undefined : byNodePort.get(port);
    const endpoints = inside?.endpoints ?? outside?.nodePortEndpoints;
    return endpoints !== undefined && !endpoints.some((endpoint) => endpoint.address === answeredBy && endpoint.port === answeredFrom);
  });
}
