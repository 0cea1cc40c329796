import { BlockList, isIP } from 'node:net';
import { GantryError } from '../../kernel/mod.ts';

export interface RegistryHostsConfig {
  /** Base URLs that are asked before the registry itself, per registry host, for example `docker.io: [https://mirror.example]`. Only for pulls. */
  readonly mirrors?: Readonly<Record<string, readonly string[]>>;
  /** `host`, `host:port` or networks (`10.0.0.0/8`) of registries whose certificate is not checked and that may have no TLS at all. Loopback always is. */
  readonly insecure?: readonly string[];
  /** Loopback registries that have TLS and whose certificate is checked. */
  readonly tls?: readonly string[];
}

/** Where a registry answers. */
export interface Endpoint {
  /** Without a slash at the end. Of an insecure registry: with https, until it has been asked what it speaks. */
  readonly origin: string;
  /** Mirrors get no credentials of the registry they stand for. */
  readonly isMirror: boolean;
  /** Its certificate is not checked, and plain HTTP will do, as dockerd's `insecure-registries`. */
  readonly isInsecure: boolean;
}

/** Gives the addresses of a host name. */
export type Lookup = (name: string) => Promise<readonly string[]>;

/** The rules of which registry is asked where. `invalid` when a mirror or an insecure registry is malformed. */
export class RegistryHosts {
  readonly #config: RegistryHostsConfig;
  readonly #names: ReadonlySet<string>;
  readonly #networks = new BlockList();
  readonly #hasNetworks: boolean;

  constructor(config: RegistryHostsConfig) {
    this.#config = config;
    const entries = config.insecure ?? [];
    this.#names = new Set(entries.filter((entry) => !entry.includes('/')).map((name) => name.toLowerCase()));
    this.#networks.addSubnet('127.0.0.0', 8, 'ipv4');
    this.#networks.addAddress('::1', 'ipv6');
    const networks = entries.filter((entry) => entry.includes('/'));
    this.#hasNetworks = networks.length > 0;
    for (const network of networks) this.#addNetwork(network);
    for (const [host, urls] of Object.entries(config.mirrors ?? {})) for (const url of urls) checkedBase(url, host);
  }

  /** The endpoints of a registry host, in the order they are asked. Names are looked up only when networks are insecure. */
  async endpointsOf(host: string, purpose: 'pull' | 'push', lookup: Lookup): Promise<Endpoint[]> {
    const mirrors = purpose === 'push' ? [] : (this.#config.mirrors?.[host] ?? []).map((url) => checkedBase(url, host));
    // The hub answers under another name than the one its images carry.
    const name = host === 'docker.io' || host === 'index.docker.io' ? 'registry-1.docker.io' : host;
    const origins = [...mirrors.map((origin) => ({ origin, isMirror: true })), { origin: `https://${name}`, isMirror: false }];
    return Promise.all(origins.map(async ({ origin, isMirror }) => ({ origin, isMirror, isInsecure: origin.startsWith('https:') && (await this.#isInsecure(new URL(origin).host, lookup)) })));
  }

  async #isInsecure(host: string, lookup: Lookup): Promise<boolean> {
    const name = hostname(host).toLowerCase();
    if (this.#config.tls?.includes(host) === true) return false;
    if (this.#names.has(host.toLowerCase()) || this.#names.has(name) || name === 'localhost' || name.endsWith('.localhost')) return true;
    const address = name.replace(/^\[|\]$/g, '');
    if (isIP(address) !== 0) return this.#isInsecureAddress(address);
    return this.#hasNetworks && (await lookup(name).catch(() => [])).some((found) => this.#isInsecureAddress(found));
  }

  #isInsecureAddress(address: string): boolean {
    return this.#networks.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
  }

  #addNetwork(text: string): void {
    const [address = '', prefix = ''] = text.split('/');
    const version = isIP(address);
    const isWhole = /^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 6 ? 128 : 32);
    if (version === 0 || !isWhole) throw new GantryError('invalid', `insecureRegistries: ${JSON.stringify(text)} is neither a host nor a network such as 10.0.0.0/8`);
    this.#networks.addSubnet(address, Number(prefix), version === 6 ? 'ipv6' : 'ipv4');
  }
}

function hostname(host: string): string {
  return host.replace(/:\d+$/, '');
}

function checkedBase(url: string, host: string): string {
  const parsed = URL.parse(url);
  if (parsed === null || !['http:', 'https:'].includes(parsed.protocol)) throw new GantryError('invalid', `registryMirrors.${host}: ${JSON.stringify(url)} is no HTTP URL`);
  return `${parsed.origin}${parsed.pathname.replace(/\/+$/, '')}`;
}
