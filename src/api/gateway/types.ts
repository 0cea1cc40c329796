import type { Condition, ObjectMeta } from '../kubernetes/types.gen.ts';

/** The parts of gateway.networking.k8s.io/v1 that are served; the schema in crds.ts says the same. */
export interface GatewayClass { apiVersion?: string; kind?: string; metadata?: ObjectMeta; spec: { controllerName: string; description?: string }; status?: { conditions?: Condition[] } }

export interface Gateway { apiVersion?: string; kind?: string; metadata?: ObjectMeta; spec: GatewaySpec; status?: GatewayStatus }
export interface GatewaySpec { gatewayClassName: string; listeners: GatewayListener[] }
export interface GatewayListener {
  name: string;
  hostname?: string;
  port: number;
  protocol: string;
  tls?: { mode?: string; certificateRefs?: { group?: string; kind?: string; name: string; namespace?: string }[] };
  allowedRoutes?: { namespaces?: { from?: string } };
}
export interface GatewayStatus {
  addresses?: { type?: string; value: string }[];
  conditions?: Condition[];
  listeners?: { name: string; attachedRoutes: number; supportedKinds: { group?: string; kind: string }[]; conditions: Condition[] }[];
}

export interface HTTPRoute { apiVersion?: string; kind?: string; metadata?: ObjectMeta; spec: HTTPRouteSpec; status?: { parents: RouteParentStatus[] } }
export interface ParentReference { group?: string; kind?: string; namespace?: string; name: string; sectionName?: string; port?: number }
export interface RouteParentStatus { parentRef: ParentReference; controllerName: string; conditions: Condition[] }
export interface HTTPRouteSpec { parentRefs?: ParentReference[]; hostnames?: string[]; rules?: HTTPRouteRule[] }
export interface HTTPRouteRule {
  name?: string;
  matches?: HTTPRouteMatch[];
  filters?: HTTPRouteFilter[];
  backendRefs?: { group?: string; kind?: string; name: string; namespace?: string; port?: number; weight?: number }[];
  timeouts?: { request?: string; backendRequest?: string };
}
export interface HTTPRouteMatch { path?: { type?: string; value?: string }; headers?: { type?: string; name: string; value: string }[]; method?: string }
export interface HeaderModifier { set?: { name: string; value: string }[]; add?: { name: string; value: string }[]; remove?: string[] }
export interface PathModifier { type: string; replaceFullPath?: string; replacePrefixMatch?: string }
export interface HTTPRouteFilter {
  type: string;
  requestHeaderModifier?: HeaderModifier;
  responseHeaderModifier?: HeaderModifier;
  urlRewrite?: { hostname?: string; path?: PathModifier };
  requestRedirect?: { scheme?: string; hostname?: string; port?: number; statusCode?: number; path?: PathModifier };
}
