import { isIP } from 'node:net';
import { GantryError } from '../../kernel/mod.ts';

/** What the options of a network mean for its bridge. */
export interface BridgeOptions {
  readonly mtu: number | undefined;
  /** Whether what leaves the network has the host's address. */
  readonly isMasqueraded: boolean;
  /** Whether containers of the network reach each other without a published port. */
  readonly isOpenInside: boolean;
  /** Where ports of its containers are published when the caller names no address. */
  readonly publishAddress: string | undefined;
  /** What interface names begin with inside containers. */
  readonly interfacePrefix: string;
}

/** Reads the options of Docker's bridge driver. `unsupported` names one that this engine does not have, `invalid` a value that is none. */
export function parseBridgeOptions(options: Readonly<Record<string, string>>): BridgeOptions {
  const known = new Set<string>(['com.docker.network.driver.mtu', 'com.docker.network.container_iface_prefix', ...Object.keys(fixed), ...['enable_ip_masquerade', 'enable_icc', 'host_binding_ipv4'].map((name) => `com.docker.network.bridge.${name}`)]);
  for (const [name, value] of Object.entries(options)) {
    const only = fixed[name];
    if (!known.has(name) || (only !== undefined && !only.includes(value))) throw new GantryError('unsupported', `network option ${name}=${value} is not supported`);
  }
  return {
    mtu: mtuOf(options['com.docker.network.driver.mtu']),
    isMasqueraded: flag(options, 'com.docker.network.bridge.enable_ip_masquerade'),
    isOpenInside: flag(options, 'com.docker.network.bridge.enable_icc'),
    publishAddress: addressOf(options['com.docker.network.bridge.host_binding_ipv4']),
    interfacePrefix: prefixOf(options['com.docker.network.container_iface_prefix'] ?? 'eth'),
  };
}

/** Options of which only the values that say what this engine does anyway are taken. */
const fixed: Readonly<Record<string, readonly string[]>> = {
  'com.docker.network.bridge.gateway_mode_ipv4': ['', 'nat'],
  'com.docker.network.bridge.gateway_mode_ipv6': ['', 'nat'],
  'com.docker.network.bridge.inhibit_ipv4': ['', 'false'],
  // The engine names its bridges, so that what is left of it can be found.
  'com.docker.network.bridge.name': [''],
};

function flag(options: Readonly<Record<string, string>>, name: string): boolean {
  const value = options[name] ?? 'true';
  if (!/^(true|false|1|0)$/.test(value)) throw invalid(name, value, 'true or false');
  return value === 'true' || value === '1';
}

/** IPv6 needs 1280 bytes (RFC 8200, 5); a bridge takes up to 65535. */
function mtuOf(text: string | undefined): number | undefined {
  if (text === undefined || text === '' || text === '0') return undefined;
  const mtu = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (mtu < 68 || mtu > 65_535) throw invalid('com.docker.network.driver.mtu', text, 'a number from 68 to 65535');
  return mtu;
}

function addressOf(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined;
  if (isIP(text) !== 4) throw invalid('com.docker.network.bridge.host_binding_ipv4', text, 'an IPv4 address');
  return text;
}

/** The kernel's limit is 15 characters, of which the number takes up to three. */
function prefixOf(text: string): string {
  if (!/^[a-zA-Z][a-zA-Z0-9_-]{0,11}$/.test(text) || text === 'lo') throw invalid('com.docker.network.container_iface_prefix', text, 'at most 12 letters, digits, - and _');
  return text;
}

function invalid(name: string, value: string, expected: string): GantryError {
  return new GantryError('invalid', `network option ${name}=${value}: expected ${expected}`);
}
