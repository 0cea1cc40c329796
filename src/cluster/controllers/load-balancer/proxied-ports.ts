import { type gatewayApi, type k8s, keyOf, proxyController, type Stored } from '../../../api/mod.ts';

/** What the node's HTTP proxy serves. */
export interface Proxied {
  readonly ingresses: readonly Stored<k8s.Ingress>[];
  readonly classes: readonly Stored<k8s.IngressClass>[];
  readonly gateways: readonly Stored<gatewayApi.Gateway>[];
}

/** Ports that the HTTP proxy of the nodes has, as `tcp/80`, with the first of those it has them for. */
export function proxiedPorts({ ingresses, classes, gateways }: Proxied): ReadonlyMap<string, string> {
  const ours = new Set(classes.filter(({ spec }) => spec?.controller === proxyController).map(({ metadata }) => metadata.name));
  const ports = new Map<string, string>();
  const add = (port: number, holder: string): void => {
    if (!ports.has(`tcp/${port}`)) ports.set(`tcp/${port}`, holder);
  };
  for (const ingress of ingresses) {
    if (!ours.has(ingress.spec?.ingressClassName ?? '') || (ingress.status?.loadBalancer?.ingress ?? []).length === 0) continue;
    add(80, `Ingress ${keyOf(ingress)}`);
    if ((ingress.spec?.tls ?? []).length > 0) add(443, `Ingress ${keyOf(ingress)}`);
  }
  for (const gateway of gateways) {
    for (const { name, conditions } of gateway.status?.listeners ?? []) {
      const port = gateway.spec.listeners.find((listener) => listener.name === name)?.port;
      if (port !== undefined && conditions.some(({ type, status }) => type === 'Programmed' && status === 'True')) add(port, `Gateway ${keyOf(gateway)}`);
    }
  }
  return ports;
}
