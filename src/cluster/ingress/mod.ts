/**
 * cluster/ingress: HTTP from outside, through HAProxy. Read model.ts (what is to be done), ingress-plan.ts (Ingresses as that),
 * haproxy-config.ts (that as a configuration), haproxy-process.ts (how it changes without a lost connection).
 */
export { IngressProxy, type IngressProxyOptions } from './ingress-proxy.ts';
