import { createHash } from 'node:crypto';
import type { HttpListener, HttpRoute, NamedValue, PathChange, RoutingModel, Target, ValueMatch } from './model.ts';

/** Where HAProxy's files are. */
export interface HaproxyFolders { readonly folder: string; readonly address: string }

export interface Slot { readonly address: string; readonly port: number; readonly weight: number }

/** One backend: its servers are slots, of which some may be empty, so that endpoints come and go without a reload. */
export interface Backend { readonly name: string; readonly slots: number; readonly servers: readonly Slot[] }

/** A configuration, and the part of it that can change while HAProxy runs. */
export interface HaproxyConfig {
  readonly text: string;
  /** The same text without the servers' addresses: as long as it stays, no reload is needed. */
  readonly structure: string;
  readonly files: ReadonlyMap<string, string>;
  readonly backends: readonly Backend[];
}

/** An empty slot: nothing listens there, and HAProxy does not ask. */
const emptySlot = '127.0.0.1:1';
const minSlots = 4;
const connectTimeoutMs = 5_000;
const connectRetries = 3;

/** The model as HAProxy's configuration and files. `slotsBefore` keeps backends from shrinking, which would be a reload. */
export function renderHaproxy({ listeners }: RoutingModel, { folder, address }: HaproxyFolders, slotsBefore: ReadonlyMap<string, number>): HaproxyConfig {
  const files = new Map<string, string>();
  const routes = new Map(listeners.flatMap((listener) => listener.routes.filter(({ isNotFound }) => isNotFound !== true).map((route) => [backendName(route), route] as const)));
  const backends = [...routes].map(([name, route]) => backendOf(name, route, slotsBefore.get(name) ?? 0));
  const lines = (isWithServers: boolean): string =>
    [
      ...globals(folder),
      ...listeners.flatMap((listener) => frontend(listener, address, folder, files)),
      ...[...routes].flatMap(([name, route]) => backendLines(name, route, backends.find((backend) => backend.name === name), isWithServers)),
      'backend no-route',
      '  http-request return status 404 content-type text/plain string "no route for this host and path\\n"',
      '',
    ].join('\n');
  return { text: lines(true), structure: `${lines(false)}\n${[...files].map(([name, content]) => `${name} ${hash(content)}`).join('\n')}`, files, backends };
}

function globals(folder: string): string[] {
  return [
    'global',
    `  stats socket ${folder}/admin.sock mode 600 level admin expose-fd listeners`,
    '  hard-stop-after 1h',
    '  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets',
    '  tune.ssl.default-dh-param 2048',
    'defaults',
    '  mode http',
    `  timeout connect ${connectTimeoutMs}`,
    '  timeout client 75s',
    '  timeout server 1h',
    '  timeout tunnel 24h',
    '  timeout http-request 30s',
    '  timeout http-keep-alive 60s',
    '  option forwardfor if-none',
    // A worker that is being replaced lets idle clients send one more request instead of hanging up on it.
    '  option idle-close-on-response',
    '  option redispatch 1',
    `  retries ${connectRetries}`,
    '  http-reuse safe',
  ];
}

function frontend({ port, certificates, routes }: HttpListener, address: string, folder: string, files: Map<string, string>): string[] {
  const list = `certificates-${port}.list`;
  if (certificates !== undefined) {
    const entries = certificates.map(({ key, pem, hosts }) => {
      const file = `certificate-${hash(key)}.pem`;
      files.set(file, pem);
      return `${folder}/${file} [alpn h2,http/1.1] ${hosts.join(' ')}`.trim();
    });
    files.set(list, `${entries.join('\n')}\n`);
  }
  return [
    `frontend port-${port}`,
    `  bind ${address}:${port}${certificates === undefined ? '' : ` ssl crt-list ${folder}/${list} alpn h2,http/1.1`}`,
    '  http-request set-var(txn.host) req.hdr(host),host_only,lower',
    '  http-request set-var(txn.path) path',
    ...(port === (certificates === undefined ? 80 : 443) ? [] : [`  http-request set-var(txn.port) str(:${port})`]),
    `  http-request set-header X-Forwarded-Proto ${certificates === undefined ? 'http' : 'https'}`,
    '  http-request set-header X-Forwarded-Port %[dst_port]',
    ...routes.flatMap((route) => conditionsOf(route).map((condition) => `  use_backend ${route.isNotFound === true ? 'no-route' : backendName(route)}${condition === '' ? '' : ` if ${condition}`}`)),
    '  default_backend no-route',
  ];
}

/** The alternatives under which the route matches. A prefix matches whole elements of the path. */
function conditionsOf({ host, path, method, headers, query }: HttpRoute): string[] {
  const common = [
    ...(host === undefined ? [] : [hostCondition(host)]),
    ...(method === undefined ? [] : [`{ method ${quoted(method)} }`]),
    ...(headers ?? []).map((match) => `{ ${quoted(`req.fhdr(${argument(match.name)})`)} ${comparison(match)} }`),
    ...(query ?? []).map((match) => `{ ${quoted(`url_param(${argument(match.name)}),url_dec(1)`)} ${comparison(match)} }`),
  ];
  if (path.type === 'Pattern') return [[...common, `{ var(txn.path) ${comparison({ value: path.value, isPattern: true })} }`].join(' ')];
  const paths = path.type === 'Exact' ? [`{ var(txn.path) -m str ${quoted(path.value)} }`] : path.value === '/' ? [''] : [`{ var(txn.path) -m str ${quoted(path.value)} }`, `{ var(txn.path) -m beg ${quoted(`${path.value}/`)} }`];
  return paths.map((one) => [...common, one].filter((part) => part !== '').join(' '));
}

/** Exactly the value, or a regular expression for the whole of it. */
function comparison({ value, isPattern = false }: Pick<ValueMatch, 'value' | 'isPattern'>): string {
  return isPattern ? `-m reg ${quoted(`^(?:${value})$`)}` : `-m str ${quoted(value)}`;
}

function hostCondition(host: string): string {
  if (!host.startsWith('*')) return `{ var(txn.host) -m str ${quoted(host)} }`;
  const suffix = host.replace(/^\*+/, '').replaceAll('.', '\\.');
  return `{ var(txn.host) -m reg ${quoted(`^${host.startsWith('**') ? '.+' : '[^.]+'}${suffix}$`)} }`;
}

function backendLines(name: string, route: HttpRoute, backend: Backend | undefined, isWithServers: boolean): string[] {
  const { timeouts, redirect, targets, lostWeight = 0 } = route;
  const lines = [`backend ${name}`, ...filterLines(route)];
  if (redirect !== undefined) return [...lines, ...redirectLines(route)];
  const weight = weightOf(route);
  // A route whose Services do not exist is a server's mistake; one without endpoints has nobody to ask.
  if (lostWeight > 0 || weight === 0) lines.push(`  http-request return status 500 content-type text/plain string "the route names no service that exists\\n"${weight === 0 ? '' : ` if { rand(${weight + lostWeight}) lt ${lostWeight} }`}`);
  if (weight === 0) return lines;
  const timeout = Math.min(timeouts?.requestMs ?? Infinity, timeouts?.backendMs ?? Infinity);
  // An endpoint that does not take the connection is asked again, or another is: all that together in the time.
  if (timeout !== Infinity) lines.push(`  timeout server ${timeout}`, `  timeout connect ${Math.min(connectTimeoutMs, Math.ceil(timeout / (connectRetries + 1)))}`);
  const protocol = targets.some(({ isHttp2 }) => isHttp2 === true) ? ' proto h2' : '';
  const servers = Array.from({ length: backend?.slots ?? 0 }, (_, index) => {
    const server = isWithServers ? backend?.servers[index] : undefined;
    return `  server s${index} ${server === undefined ? `${emptySlot} weight 1${protocol}${isWithServers ? ' disabled' : ''}` : `${server.address}:${server.port} weight ${server.weight}${protocol}`}`;
  });
  return [...lines, '  balance roundrobin', ...servers];
}

function filterLines({ filters, path }: HttpRoute): string[] {
  if (filters === undefined) return [];
  const each = (list: readonly NamedValue[] | undefined, action: string): string[] => (list ?? []).map(({ name, value }) => `  ${action} ${quoted(name)} ${quotedFormat(value)}`);
  return [
    ...each(filters.setHeaders, 'http-request set-header'),
    ...each(filters.addHeaders, 'http-request add-header'),
    ...(filters.removeHeaders ?? []).map((name) => `  http-request del-header ${quoted(name)}`),
    ...each(filters.responseSetHeaders, 'http-after-response set-header'),
    ...each(filters.responseAddHeaders, 'http-after-response add-header'),
    ...(filters.responseRemoveHeaders ?? []).map((name) => `  http-after-response del-header ${quoted(name)}`),
    ...(filters.rewriteHost === undefined ? [] : [`  http-request set-header Host ${quotedFormat(filters.rewriteHost)}`]),
    ...(filters.rewritePath === undefined ? [] : [pathLine(filters.rewritePath, path.value)]),
  ];
}

/** The path as it is to be; a query stays. What follows the prefix keeps its slash. */
function pathLine({ type, value }: PathChange, prefix: string): string {
  if (type === 'full') return `  http-request set-path ${quotedFormat(value === '' ? '/' : value)}`;
  const base = value.replace(/\/+$/, '');
  const from = prefix === '/' ? '' : escapePattern(prefix);
  const [pattern, replacement] = base === '' ? [`^${from}/?(.*)$`, '/\\1'] : [`^${from}(.*)$`, `${escapeFormat(base.replaceAll('\\', '\\\\'))}\\1`];
  return `  http-request replace-path ${quoted(pattern)} ${quoted(replacement)}`;
}

function redirectLines({ redirect, path }: HttpRoute): string[] {
  const { scheme, host, port, path: target, code } = redirect ?? { code: 302 };
  // A port that goes without saying is not said.
  const isUsual = (port === 80 && scheme === 'http') || (port === 443 && scheme === 'https');
  const where = port === undefined ? (scheme === undefined ? '%[var(txn.port)]' : '') : isUsual ? '' : `:${port}`;
  const location = `${scheme ?? '%[ssl_fc,iif(https,http)]'}://${host === undefined ? '%[var(txn.host)]' : escapeFormat(host)}${where}%[path]%[query,length,bool,iif(?,)]%[query]`;
  return [...(target === undefined ? [] : [pathLine(target, path.value)]), `  http-request redirect code ${code} location ${quoted(location)}`];
}

function backendOf(name: string, route: HttpRoute, before: number): Backend {
  // One that answers by itself has no servers that could be changed.
  if (route.redirect !== undefined || weightOf(route) === 0) return { name, slots: 0, servers: [] };
  const servers = serversOf(route.targets);
  let slots = Math.max(minSlots, before);
  while (slots < servers.length) slots *= 2;
  return { name, slots, servers };
}

/** A Service's share is divided among its endpoints; HAProxy's weights are whole numbers up to 256. */
function serversOf(targets: readonly Target[]): Slot[] {
  const shares = targets.filter(({ weight, endpoints }) => weight > 0 && endpoints.length > 0).flatMap(({ weight, endpoints }) => endpoints.map((endpoint) => ({ ...endpoint, share: weight / endpoints.length })));
  const largest = Math.max(...shares.map(({ share }) => share), 0);
  const isEven = shares.every(({ share }) => share === largest);
  return shares.map(({ address, port, share }) => ({ address, port, weight: isEven ? 1 : Math.max(1, Math.round((share / largest) * 256)) }));
}

function weightOf({ targets }: HttpRoute): number {
  return targets.reduce((sum, { weight }) => sum + weight, 0);
}

function backendName({ key }: HttpRoute): string {
  return `route-${hash(key)}`;
}

/** In HAProxy's strong quotes nothing is special but the quote. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'"'"'`)}'`;
}

function quotedFormat(text: string): string {
  return quoted(escapeFormat(text));
}

function escapeFormat(text: string): string {
  return text.replaceAll('%', '%%');
}

/** Within the parentheses of a sample fetch. */
function argument(text: string): string {
  return text.replaceAll("'", "\\'");
}

function escapePattern(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
