import { existsSync, readdirSync } from 'node:fs';
import { type LinkTable, readSysctl, writeSysctl } from '../../host/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { NetworkRecord } from '../types.ts';
import { parseBridgeOptions } from './bridge-options.ts';
import { macOf, parseCidr } from './ipv4.ts';
import { parseRange } from './ip.ts';

/** Makes the network's bridge with its addresses and settings where they are missing. Idempotent. */
export function ensureBridge(links: LinkTable, network: NetworkRecord): void {
  const { bridgeName, subnet, gateway, ipv6 } = network;
  if (links.find(bridgeName) === undefined) links.createBridge(bridgeName, macOf(gateway), parseBridgeOptions(network.spec.options).mtu);
  const link = links.find(bridgeName);
  if (link === undefined) throw new GantryError('internal', `the bridge ${bridgeName} did not appear`);
  // Before it is up: containers must not tell the host its routes (CVE-2020-13401).
  writeIfThere(`net.ipv6.conf.${bridgeName}.accept_ra`, '0');
  // Without IPv6 of its own a network gives containers no link-local way to what listens on the host.
  if (network.kind !== 'pod') writeIfThere(`net.ipv6.conf.${bridgeName}.disable_ipv6`, ipv6 === undefined ? '1' : '0');
  links.addAddress(link.index, gateway, parseCidr(subnet).prefixLength);
  if (ipv6 !== undefined) links.addAddress(link.index, ipv6.gateway, parseRange(ipv6.subnet).prefixLength);
  links.setUp(link.index);
  for (const [name, value] of bridgeSettings(network)) writeSysctl(name, value);
}

/** Settings that a network's bridge must have to work. */
export function bridgeSettings({ bridgeName }: NetworkRecord): (readonly [name: string, value: string])[] {
  const setting = (name: string): string => `net.ipv4.conf.${bridgeName}.${name}`;
  return [
    // 127.0.0.1:port of the host is translated to a container's address and leaves over the bridge.
    [setting('route_localnet'), '1'],
    [setting('send_redirects'), '0'],
    [setting('rp_filter'), '2'],
  ];
}

/** Settings of the host that networks need. */
export function hostSettings(networks: readonly NetworkRecord[]): (readonly [name: string, value: string])[] {
  const needsIpv6 = networks.some(({ ipv6 }) => ipv6 !== undefined);
  return [['net.ipv4.ip_forward', '1'], ...(needsIpv6 ? ([['net.ipv6.conf.all.forwarding', '1']] as const) : [])];
}

/** Makes the host forward what networks need. Interfaces that learn their routes from a router go on doing so, which forwarding alone would end. */
export function ensureForwarding(networks: readonly NetworkRecord[]): void {
  for (const [name, value] of hostSettings(networks)) {
    if (name.startsWith('net.ipv6.') && readSysctl(name) !== value) keepRouterAdvertisements();
    writeSysctl(name, value);
  }
}

function keepRouterAdvertisements(): void {
  const folder = '/proc/sys/net/ipv6/conf';
  if (!existsSync(folder)) return;
  const [whenNotForwarding, always] = ['1', '2'];
  for (const name of readdirSync(folder).filter((entry) => entry !== 'all' && entry !== 'default')) {
    // An interface of this name may have a dot in it, which sysctl names write as a slash.
    const setting = `net.ipv6.conf.${name.replaceAll('.', '/')}.accept_ra`;
    if (readSysctl(setting) === whenNotForwarding) writeSysctl(setting, always);
  }
}

function writeIfThere(name: string, value: string): void {
  if (readSysctl(name) !== undefined) writeSysctl(name, value);
}
