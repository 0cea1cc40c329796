import type { PortBinding } from '../types.ts';

export type FirewallFamily = 'ip' | 'ip6';

export interface FirewallNetwork {
  readonly bridgeName: string;
  /** Of the table's family. */
  readonly subnet: string;
  readonly isInternal: boolean;
  /** Kept apart from the other networks of the instance. Its containers are neighbours on the bridge; pods are routed even to each other. */
  readonly isIsolated: boolean;
  readonly isMasqueraded: boolean;
  /** Whether its containers reach each other's unpublished ports. */
  readonly isOpenInside: boolean;
}

/** A published port with a concrete host port, where it leads, and whose it is. */
export interface Publication extends PortBinding { readonly targetIp: string; readonly owner: string }

/** Name of the engine's tables (families ip and ip6). Everything in them belongs to one instance. */
export function firewallTable(instanceId: string): string {
  return `gantry-${instanceId}-engine`;
}

/** The table of the packet filter that a publication belongs to; undefined: host and container address differ in family, or it is IPv6's loopback, which the kernel does not translate. */
export function familyOf({ hostIp, targetIp }: Publication): FirewallFamily | undefined {
  const isIpv6 = targetIp.includes(':');
  if (hostIp.includes(':') !== isIpv6 || hostIp === '::1') return undefined;
  return isIpv6 ? 'ip6' : 'ip';
}

/** The whole table as one transaction that replaces what was there: for start-up and for changes of networks. Publications of other families are left out. Pure. */
export function planFirewall(family: FirewallFamily, table: string, networks: readonly FirewallNetwork[], publications: readonly Publication[]): string {
  const bridges = networks.map(({ bridgeName }) => `"${bridgeName}"`);
  const own = publications.filter((publication) => familyOf(publication) === family);
  const address = family === 'ip' ? 'ipv4_addr' : 'ipv6_addr';
  return [
    `add table ${family} ${table}`,
    `delete table ${family} ${table}`,
    `table ${family} ${table} {`,
    ...(['tcp', 'udp'] as const).flatMap((protocol) => [
      `  map ${protocol}_ports { type ${address} . inet_service : ${address} . inet_service; ${elements(own, protocol, false)} }`,
      `  map ${protocol}_any_ports { type inet_service : ${address} . inet_service; ${elements(own, protocol, true)} }`,
    ]),
    `  set bridges { type ifname; ${bridges.length === 0 ? '' : `elements = { ${bridges.join(', ')} };`} }`,
    // route_localnet lets packets to 127/8 in from the bridges (CVE-2020-8558); only the host itself may use it.
    ...(family === 'ip' ? ['  chain guard { type filter hook prerouting priority -310; policy accept; iifname @bridges ip daddr 127.0.0.0/8 drop; }'] : []),
    '  chain publish {',
    // IPv6 has no route_localnet: what goes to ::1 is relayed (host-ports.ts).
    ...(family === 'ip6' ? ['    ip6 daddr ::1 return'] : []),
    ...(['tcp', 'udp'] as const).flatMap((protocol) => [
      `    dnat ${family} to ${family} daddr . ${protocol} dport map @${protocol}_ports`,
      `    dnat ${family} to ${protocol} dport map @${protocol}_any_ports`,
    ]),
    '  }',
    '  chain prerouting { type nat hook prerouting priority -100; policy accept; fib daddr type local jump publish; }',
    '  chain output { type nat hook output priority -100; policy accept; fib daddr type local jump publish; }',
    '  chain postrouting { type nat hook postrouting priority 100; policy accept;',
    ...(family === 'ip' ? ['    ip saddr 127.0.0.0/8 oifname @bridges masquerade'] : []),
    ...networks.flatMap(({ subnet, bridgeName, isInternal, isIsolated, isMasqueraded }) => [
      // A neighbour on the same bridge reached through a published port would answer directly, past the translation.
      ...(isIsolated ? [`    ${family} saddr ${subnet} ${family} daddr ${subnet} ct status dnat masquerade`] : []),
      ...(isInternal || !isMasqueraded ? [] : [`    ${family} saddr ${subnet} oifname != "${bridgeName}" masquerade`]),
    ]),
    '  }',
    '  chain forward { type filter hook forward priority -5; policy accept;',
    '    ct state established,related accept',
    '    ct status dnat accept',
    ...networks.flatMap(({ bridgeName, isInternal, isIsolated, isOpenInside }) => [
      // Where bridged frames pass this filter; elsewhere the bridge itself keeps its ports apart (endpoints.ts).
      ...(isOpenInside ? [] : [`    iifname "${bridgeName}" oifname "${bridgeName}" drop`]),
      ...(isInternal ? [`    iifname "${bridgeName}" oifname != "${bridgeName}" drop`, `    oifname "${bridgeName}" iifname != "${bridgeName}" drop`] : []),
      ...(isIsolated ? [`    iifname "${bridgeName}" oifname @bridges oifname != "${bridgeName}" drop`] : []),
      // Whoever routes to the subnet through this host reaches what is published, not every port of every container.
      ...(isIsolated && !isInternal ? [`    oifname "${bridgeName}" iifname != @bridges drop`] : []),
    ]),
    '  }',
    '}',
  ].join('\n');
}

function elements(publications: readonly Publication[], protocol: 'tcp' | 'udp', isAny: boolean): string {
  const wanted = publications.filter((publication) => publication.protocol === protocol && isAnyAddress(publication) === isAny);
  if (wanted.length === 0) return '';
  return `elements = { ${wanted.map((publication) => `${key(publication)} : ${publication.targetIp} . ${publication.containerPort}`).join(', ')} };`;
}

/** The change of the tables when ports are published; empty when nothing is to be done. */
export function planPublish(table: string, publications: readonly Publication[]): string {
  return lines(publications, (publication, family) => `add element ${family} ${table} ${mapOf(publication)} { ${key(publication)} : ${publication.targetIp} . ${publication.containerPort} }`);
}

/** The change of the tables when ports are taken back. Fails as a whole when one is not there. */
export function planUnpublish(table: string, publications: readonly Publication[]): string {
  return lines(publications, (publication, family) => `delete element ${family} ${table} ${mapOf(publication)} { ${key(publication)} }`);
}

function lines(publications: readonly Publication[], toLine: (publication: Publication, family: FirewallFamily) => string): string {
  return publications.flatMap((publication) => {
    const family = familyOf(publication);
    return family === undefined ? [] : [toLine(publication, family)];
  }).join('\n');
}

function isAnyAddress({ hostIp }: PortBinding): boolean {
  return hostIp === '0.0.0.0' || hostIp === '::';
}

function mapOf(publication: Publication): string {
  return `${publication.protocol}_${isAnyAddress(publication) ? 'any_' : ''}ports`;
}

function key(publication: Publication): string {
  return isAnyAddress(publication) ? String(publication.hostPort) : `${publication.hostIp} . ${publication.hostPort}`;
}
