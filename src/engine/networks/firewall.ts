import type { PortBinding } from '../types.ts';

export interface FirewallNetwork {
  readonly bridgeName: string;
  readonly subnet: string;
  readonly isInternal: boolean;
  /** Kept apart from the other networks of the instance. Its containers are neighbours on the bridge; pods are routed even to each other. */
  readonly isIsolated: boolean;
}

/** A published port with a concrete host port, and where it leads. */
export interface Publication extends PortBinding { readonly targetIp: string }

/** Name of the engine's table (family ip). Everything in it belongs to one instance. */
export function firewallTable(instanceId: string): string {
  return `gantry-${instanceId}-engine`;
}

/** The whole table as one transaction that replaces what was there: for start-up and for changes of networks. Pure. */
export function planFirewall(table: string, networks: readonly FirewallNetwork[], publications: readonly Publication[]): string {
  const bridges = networks.map(({ bridgeName }) => `"${bridgeName}"`);
  return [
    `add table ip ${table}`,
    `delete table ip ${table}`,
    `table ip ${table} {`,
    ...(['tcp', 'udp'] as const).flatMap((protocol) => [
      `  map ${protocol}_ports { type ipv4_addr . inet_service : ipv4_addr . inet_service; ${elements(publications, protocol, false)} }`,
      `  map ${protocol}_any_ports { type inet_service : ipv4_addr . inet_service; ${elements(publications, protocol, true)} }`,
    ]),
    `  set bridges { type ifname; ${bridges.length === 0 ? '' : `elements = { ${bridges.join(', ')} };`} }`,
    // route_localnet lets packets to 127/8 in from the bridges (CVE-2020-8558); only the host itself may use it.
    '  chain guard { type filter hook prerouting priority -310; policy accept; iifname @bridges ip daddr 127.0.0.0/8 drop; }',
    '  chain publish {',
    ...(['tcp', 'udp'] as const).flatMap((protocol) => [
      `    dnat ip to ip daddr . ${protocol} dport map @${protocol}_ports`,
      `    dnat ip to ${protocol} dport map @${protocol}_any_ports`,
    ]),
    '  }',
    '  chain prerouting { type nat hook prerouting priority -100; policy accept; fib daddr type local jump publish; }',
    '  chain output { type nat hook output priority -100; policy accept; fib daddr type local jump publish; }',
    '  chain postrouting { type nat hook postrouting priority 100; policy accept;',
    '    ip saddr 127.0.0.0/8 oifname @bridges masquerade',
    ...networks.flatMap(({ subnet, bridgeName, isInternal, isIsolated }) => [
      // A neighbour on the same bridge reached through a published port would answer directly, past the translation.
      ...(isIsolated ? [`    ip saddr ${subnet} ip daddr ${subnet} ct status dnat masquerade`] : []),
      ...(isInternal ? [] : [`    ip saddr ${subnet} oifname != "${bridgeName}" masquerade`]),
    ]),
    '  }',
    '  chain forward { type filter hook forward priority -5; policy accept;',
    '    ct state established,related accept',
    '    ct status dnat accept',
    ...networks.flatMap(({ bridgeName, isInternal, isIsolated }) => [
      ...(isInternal ? [`    iifname "${bridgeName}" oifname != "${bridgeName}" drop`, `    oifname "${bridgeName}" iifname != "${bridgeName}" drop`] : []),
      ...(isIsolated ? [`    iifname "${bridgeName}" oifname @bridges oifname != "${bridgeName}" drop`] : []),
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

/** The change of the table when ports are published. */
export function planPublish(table: string, publications: readonly Publication[]): string {
  return publications.map((publication) => `add element ip ${table} ${mapOf(publication)} { ${key(publication)} : ${publication.targetIp} . ${publication.containerPort} }`).join('\n');
}

/** The change of the table when ports are taken back. Fails as a whole when one is not there. */
export function planUnpublish(table: string, publications: readonly Publication[]): string {
  return publications.map((publication) => `delete element ip ${table} ${mapOf(publication)} { ${key(publication)} }`).join('\n');
}

function isAnyAddress({ hostIp }: PortBinding): boolean {
  return hostIp === '0.0.0.0';
}

function mapOf(publication: Publication): string {
  return `${publication.protocol}_${isAnyAddress(publication) ? 'any_' : ''}ports`;
}

function key(publication: Publication): string {
  return isAnyAddress(publication) ? String(publication.hostPort) : `${publication.hostIp} . ${publication.hostPort}`;
}
