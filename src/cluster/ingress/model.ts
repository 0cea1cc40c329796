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
  /** A pattern is a regular expression for the whole path. */
  readonly path: { readonly type: 'Exact' | 'Prefix' | 'Pattern'; readonly value: string };
  readonly method?: string;
  readonly headers?: readonly ValueMatch[];
  readonly query?: readonly ValueMatch[];
  readonly filters?: RouteFilters;
  /** Milliseconds. */
  readonly timeouts?: { readonly requestMs?: number; readonly backendMs?: number };
  readonly targets: readonly Target[];
  /** The share, beside those of the targets, that goes to Services that do not exist: those requests fail. */
  readonly lostWeight?: number;
  /** A response instead of a target: a redirect. */
  readonly redirect?: Redirect;
  /** Whatever comes here belongs to a listener that has no other route for it. */
  readonly isNotFound?: boolean;
}

export interface NamedValue { readonly name: string; readonly value: string }

/** A header or query parameter; a pattern is a regular expression for the whole value. */
export interface ValueMatch extends NamedValue { readonly isPattern?: boolean }

export interface PathChange { readonly type: 'full' | 'prefix'; readonly value: string }

export interface RouteFilters {
  readonly setHeaders?: readonly NamedValue[];
  readonly addHeaders?: readonly NamedValue[];
  readonly removeHeaders?: readonly string[];
  readonly responseSetHeaders?: readonly NamedValue[];
  readonly responseAddHeaders?: readonly NamedValue[];
  readonly responseRemoveHeaders?: readonly string[];
  readonly rewriteHost?: string;
  readonly rewritePath?: PathChange;
}

/** Without a scheme that of the request is kept, and then without a port the listener's. */
export interface Redirect { readonly scheme?: string; readonly host?: string; readonly port?: number; readonly path?: PathChange; readonly code: number }

/** One Service that gets a share of a route's requests. */
export interface Target {
  /** `namespace/name:port`. */
  readonly service: string;
  readonly weight: number;
  readonly endpoints: readonly { readonly address: string; readonly port: number }[];
  /** The application speaks HTTP/2 without TLS (`appProtocol: kubernetes.io/h2c`). */
  readonly isHttp2?: boolean;
}

/** Listeners of several sources as one list: those of the same port become one. Who plans them sees to it that their protocol is one. */
export function mergeListeners(first: readonly HttpListener[], second: readonly HttpListener[]): HttpListener[] {
  const merged = new Map(first.map((listener) => [listener.port, listener]));
  for (const listener of second) {
    const known = merged.get(listener.port);
    const certificates = mergeCertificates([...(known?.certificates ?? []), ...(listener.certificates ?? [])]);
    merged.set(listener.port, { port: listener.port, routes: inMatchOrder([...(known?.routes ?? []), ...listener.routes]), ...(listener.certificates === undefined ? {} : { certificates }) });
  }
  return [...merged.values()];
}

/** Each certificate once, for all names that it was wanted for. */
export function mergeCertificates(certificates: readonly Certificate[]): Certificate[] {
  return [...Map.groupBy(certificates, ({ key }) => key).values()].flatMap((same) => {
    const hosts = same.some((one) => one.hosts.length === 0) ? [] : [...new Set(same.flatMap((one) => one.hosts))];
    return same.slice(0, 1).map((one) => ({ ...one, hosts }));
  });
}

/** Whether a text can stand in the proxy's configuration: printable, without blanks. */
export function isPlainText(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

/** The order in which routes are tried (Kubernetes, "Multiple matches"; Gateway API, HTTPRouteRule): the more exact first, then as given. */
export function inMatchOrder(routes: readonly HttpRoute[]): HttpRoute[] {
  const hostRank = ({ host }: HttpRoute): number => (host === undefined ? 1_000_000 : host.startsWith('*') ? 1_000 - host.length : -1_000);
  const pathRank = ({ path, isNotFound }: HttpRoute): number => (isNotFound === true ? 10_000 : path.type === 'Exact' ? -20_000 : path.type === 'Pattern' ? -10_000 : 0) - path.value.length;
  const rest = ({ method, headers, query }: HttpRoute): number => -(method === undefined ? 0 : 1_000_000) - (headers?.length ?? 0) * 1_000 - (query?.length ?? 0);
  return routes.toSorted((a, b) => hostRank(a) - hostRank(b) || pathRank(a) - pathRank(b) || rest(a) - rest(b));
}
