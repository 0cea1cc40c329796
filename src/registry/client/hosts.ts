import { GantryError } from '../../kernel/mod.ts';

export interface RegistryHostsConfig {
  /** Base URLs that are asked before the registry itself, per registry host, for example `docker.io: [https://mirror.example]`. Only for pulls. */
  readonly mirrors?: Readonly<Record<string, readonly string[]>>;
  /** `host` or `host:port` of registries without TLS. Loopback addresses never have TLS unless listed in `tls`. */
  readonly plainHttp?: readonly string[];
  /** Loopback registries that have TLS. */
  readonly tls?: readonly string[];
}

/** Where a registry answers. */
export interface Endpoint {
  /** Without a slash at the end. */
  readonly origin: string;
  /** Mirrors get no credentials of the registry they stand for. */
  readonly isMirror: boolean;
}

/** The endpoints of a registry host, in the order they are asked. */
export function endpointsOf(host: string, config: RegistryHostsConfig, purpose: 'pull' | 'push'): Endpoint[] {
  const mirrors = purpose === 'push' ? [] : (config.mirrors?.[host] ?? []).map((url) => ({ origin: checkedBase(url, host), isMirror: true }));
  // The hub answers under another name than the one its images carry.
  const name = host === 'docker.io' || host === 'index.docker.io' ? 'registry-1.docker.io' : host;
  return [...mirrors, { origin: `${hasTls(host, config) ? 'https' : 'http'}://${name}`, isMirror: false }];
}

function hasTls(host: string, config: RegistryHostsConfig): boolean {
  if (config.plainHttp?.includes(host) === true || config.plainHttp?.includes(hostname(host)) === true) return false;
  return !isLoopback(hostname(host)) || config.tls?.includes(host) === true;
}

function hostname(host: string): string {
  return host.replace(/:\d+$/, '');
}

function isLoopback(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost') || /^127(?:\.\d{1,3}){3}$/.test(name) || name === '[::1]';
}

function checkedBase(url: string, host: string): string {
  const parsed = URL.parse(url);
  if (parsed === null || !['http:', 'https:'].includes(parsed.protocol)) throw new GantryError('invalid', `registries.mirrors.${host}: ${JSON.stringify(url)} is no HTTP URL`);
  return `${parsed.origin}${parsed.pathname.replace(/\/+$/, '')}`;
}
