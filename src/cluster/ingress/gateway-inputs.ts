import type { gatewayApi, k8s, Stored } from '../../api/mod.ts';
import type { EndpointView } from './endpoints.ts';

/** The group of the Gateway API. */
export const gatewayGroup = 'gateway.networking.k8s.io';

export type Gateway = Stored<gatewayApi.Gateway>;
export type Route = Stored<gatewayApi.HTTPRoute>;

/** What Gateways are planned from. */
export interface GatewayInputs {
  readonly classes: readonly Stored<gatewayApi.GatewayClass>[];
  readonly gateways: readonly Gateway[];
  readonly routes: readonly Route[];
  readonly grants: readonly Stored<gatewayApi.ReferenceGrant>[];
  readonly namespaces: readonly Stored<k8s.Namespace>[];
  readonly endpoints: EndpointView;
  readonly secret: (namespace: string, name: string) => k8s.Secret | undefined;
  /** Why a port cannot be had for plain HTTP or for TLS; undefined when it can. */
  readonly portProblem: (port: number, isTls: boolean) => string | undefined;
  readonly addresses: readonly string[];
  readonly now: string;
}

/** Whether a ReferenceGrant lets objects of a kind and namespace name this one. Within a namespace none is needed. */
export function isGranted(grants: GatewayInputs['grants'], from: { kind: string; namespace: string }, to: { kind: string; namespace: string; name: string }): boolean {
  if (from.namespace === to.namespace) return true;
  return grants.some(
    ({ metadata, spec }) =>
      metadata.namespace === to.namespace &&
      spec.from.some((one) => one.group === gatewayGroup && one.kind === from.kind && one.namespace === from.namespace) &&
      spec.to.some((one) => one.group === '' && one.kind === to.kind && (one.name === undefined || one.name === '' || one.name === to.name)),
  );
}

/** The older first; of the same age, by name (Gateway API, "Conflicts"). */
export function byAge(a: { metadata: Gateway['metadata'] }, b: { metadata: Gateway['metadata'] }): number {
  const order = ({ metadata }: { metadata: Gateway['metadata'] }): string => `${metadata.creationTimestamp} ${metadata.namespace ?? ''}/${metadata.name}`;
  return order(a) < order(b) ? -1 : 1;
}
