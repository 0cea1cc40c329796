/** What the HTTP proxy is to do: independent of where it was asked for (Ingress or Gateway) and of the program that does it. */
export interface RoutingModel {
  readonly listeners: readonly HttpListener[];
}

/** One port with its routes, in the order in which they are tried. */
export interface HttpListener {
  readonly port: number;
  /** Absent: plain HTTP. */
  readonly certificates?: readonly Certificate[];
  readonly routes: readonly HttpRoute[];
}

/** A certificate with its key, chosen by server name. */
export interface Certificate {
  /** `namespace/name` of its Secret. */
  readonly key: string;
  readonly pem: string;
  /** Names it is for; empty: what is in the certificate. */
  readonly hosts: readonly string[];
}

/** One rule: what a request has to be, and what becomes of it. */
export interface HttpRoute {
  /** Stable while the rule's place is: names its backend. */
  readonly key: string;
  /** `*.example.com` matches one label, `**.example.com` any number; absent: every host. */
  readonly host?: string;
  readonly path: { readonly type: 'Exact' | 'Prefix'; readonly value: string };
  readonly method?: string;
  readonly headers?: readonly HeaderMatch[];
  readonly filters?: RouteFilters;
  /** Milliseconds. */
  readonly timeouts?: { readonly requestMs?: number; readonly backendMs?: number };
  readonly targets: readonly Target[];
  /** A response instead of a target: a redirect. */
  readonly redirect?: Redirect;
}

export interface HeaderMatch { readonly name: string; readonly value: string }

export interface RouteFilters {
  readonly setHeaders?: readonly HeaderMatch[];
  readonly addHeaders?: readonly HeaderMatch[];
  readonly removeHeaders?: readonly string[];
  readonly responseSetHeaders?: readonly HeaderMatch[];
  readonly responseAddHeaders?: readonly HeaderMatch[];
  readonly responseRemoveHeaders?: readonly string[];
  readonly rewriteHost?: string;
  readonly rewritePath?: { readonly type: 'full' | 'prefix'; readonly value: string };
}

export interface Redirect { readonly scheme?: string; readonly host?: string; readonly port?: number; readonly path?: { readonly type: 'full' | 'prefix'; readonly value: string }; readonly code: number }

/** One Service that gets a share of a route's requests. */
export interface Target {
  /** `namespace/name:port`. */
  readonly service: string;
  readonly weight: number;
  readonly endpoints: readonly { readonly address: string; readonly port: number }[];
  /** The application speaks HTTP/2 without TLS (`appProtocol: kubernetes.io/h2c`). */
  readonly isHttp2?: boolean;
}

/** Listeners of several sources as one list: those of the same port and protocol become one. */
export function mergeListeners(first: readonly HttpListener[], second: readonly HttpListener[]): HttpListener[] {
  const merged = new Map(first.map((listener) => [listener.port, listener]));
  for (const listener of second) {
    const known = merged.get(listener.port);
    if (known !== undefined && (known.certificates === undefined) !== (listener.certificates === undefined)) continue;
    const certificates = [...new Map([...(known?.certificates ?? []), ...(listener.certificates ?? [])].map((one) => [one.key, one])).values()];
    merged.set(listener.port, { port: listener.port, routes: inMatchOrder([...(known?.routes ?? []), ...listener.routes]), ...(listener.certificates === undefined ? {} : { certificates }) });
  }
  return [...merged.values()];
}

/** Whether a text can stand in the proxy's configuration: printable, without blanks. */
export function isPlainText(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

/** The order in which routes are tried (Kubernetes, "Multiple matches"; Gateway API, HTTPRouteRule): the more exact first. */
export function inMatchOrder(routes: readonly HttpRoute[]): HttpRoute[] {
  const hostRank = ({ host }: HttpRoute): number => (host === undefined ? 1_000_000 : host.startsWith('*') ? 1_000 - host.length : -1_000);
  const pathRank = ({ path }: HttpRoute): number => (path.type === 'Exact' ? -10_000 : 0) - path.value.length;
  const rest = ({ method, headers }: HttpRoute): number => -(method === undefined ? 0 : 1_000) - (headers?.length ?? 0);
  return routes.toSorted((a, b) => hostRank(a) - hostRank(b) || pathRank(a) - pathRank(b) || rest(a) - rest(b));
}
