import type { EndpointSpec, EndpointStatus, NetworkRecord } from '../types.ts';

/** The endpoints whose gateways are a container's ways out; undefined: it has none of that family. */
export interface GatewayPlan { readonly ipv4: EndpointStatus | undefined; readonly ipv6: EndpointStatus | undefined }

/**
 * Of the endpoints whose network is not internal, the one with the highest priority; of equal ones the first that was asked for.
 * The same endpoint is where published ports lead. Pure.
 */
export function planGateways(endpoints: readonly EndpointStatus[], wanted: readonly EndpointSpec[], networks: readonly NetworkRecord[]): GatewayPlan {
  const networkOf = (nameOrId: string): NetworkRecord | undefined => networks.find(({ id, spec }) => id === nameOrId || spec.name === nameOrId);
  const priorityOf = (networkId: string): number => wanted.find(({ network }) => networkOf(network)?.id === networkId)?.gatewayPriority ?? 0;
  const open = endpoints
    .filter(({ networkId }) => networkOf(networkId)?.spec.isInternal === false)
    .toSorted((a, b) => priorityOf(b.networkId) - priorityOf(a.networkId));
  return { ipv4: open[0], ipv6: open.find(({ ipv6 }) => ipv6 !== undefined) };
}
