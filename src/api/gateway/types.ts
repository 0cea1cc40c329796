import type { Condition, LabelSelector, ObjectMeta } from '../kubernetes/types.gen.ts';

/** The parts of gateway.networking.k8s.io that are served; the schemas in crds.ts and route-schema.ts say the same. */
export interface GatewayClass { apiVersion?: string; kind?: string; metadata?: ObjectMeta; spec: { controllerName: string; description?: string }; status?: { conditions?: Condition[] } }

export interface Gateway { apiVersion?: string; kind?: string; metadata?: ObjectMeta; spec: GatewaySpec; status?: GatewayStatus }
export interface GatewaySpec { gatewayClassName: string; listeners: GatewayListener[] }
export interface RouteKind { group?: string; kind: string }
export interface SecretReference { group?: string; kind?: string; name: string; namespace?: string }
export interface GatewayListener {
  name: string;
  hostname?: string;
  port: number;
  protocol: string;
  tls?: { mode?: string; certificateRefs?: SecretReference[] };
  allowedRoutes?: { namespaces?: { from?: string; selector?: LabelSelector }; kinds?: RouteKind[] };
}
export interface GatewayStatus {
  addresses?: { type?: string; value: string }[];
  conditions?: Condition[];
  listeners?: { name: string; attachedRoutes: number; supportedKinds: RouteKind[]; conditions: Condition[] }[];
}

export interface HTTPRoute { apiVersion?: string; kind?: string; metadata?: ObjectMeta; spec: HTTPRouteSpec; status?: { parents: RouteParentStatus[] } }
export interface ParentReference { group?: string; kind?: string; namespace?: string; name: string; sectionName?: string; port?: number }
export interface RouteParentStatus { parentRef: ParentReference; controllerName: string; conditions: Condition[] }
export interface HTTPRouteSpec { parentRefs?: ParentReference[]; hostnames?: string[]; rules?: HTTPRouteRule[] }
export interface BackendReference { group?: string; kind?: string; name: string; namespace?: string; port?: number; weight?: number }
export interface HTTPRouteRule {
  name?: string;
  matches?: HTTPRouteMatch[];
  filters?: HTTPRouteFilter[];
  backendRefs?: BackendReference[];
  timeouts?: { request?: string; backendRequest?: string };
}
export interface HTTPValueMatch { type?: string; name: string; value: string }
export interface HTTPRouteMatch { path?: { type?: string; value?: string }; headers?: HTTPValueMatch[]; queryParams?: HTTPValueMatch[]; method?: string }
export interface HeaderModifier { set?: { name: string; value: string }[]; add?: { name: string; value: string }[]; remove?: string[] }
export interface PathModifier { type: string; replaceFullPath?: string; replacePrefixMatch?: string }
export interface HTTPRouteFilter {
  type: string;
  requestHeaderModifier?: HeaderModifier;
  responseHeaderModifier?: HeaderModifier;
  urlRewrite?: { hostname?: string; path?: PathModifier };
  requestRedirect?: { scheme?: string; hostname?: string; port?: number; statusCode?: number; path?: PathModifier };
}

export interface ReferenceGrant { apiVersion?: string; kind?: string; metadata?: ObjectMeta; spec: { from: { group: string; kind: string; namespace: string }[]; to: { group: string; kind: string; name?: string }[] } }
