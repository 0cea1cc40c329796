import { closeSync, openSync, writeFileSync } from 'node:fs';
import { LinkTable, withinNamespaces, writeSysctl } from '../../host/mod.ts';
import { GantryError, randomHex } from '../../kernel/mod.ts';

export interface EndpointWiring {
  readonly namespaceFile: string;
  readonly bridgeName: string;
  /** Prefix of host-side interface names; at most eight characters. */
  readonly linkPrefix: string;
  readonly interfaceName: string;
  readonly address: string;
  readonly prefixLength: number;
  readonly macAddress: string;
  /** Undefined: no default route (an internal network, or a second interface). */
  readonly gateway: string | undefined;
}

/**
 * Joins a network namespace to a bridge: veth pair, address, default route. Synchronous, about 2 ms; the kernel removes both ends with
 * the namespace. With a /32 the namespace reaches even its neighbours through the gateway, so that the host's packet filter sees it all.
 */
export function wireEndpoint(links: LinkTable, wiring: EndpointWiring): void {
  const bridge = links.find(wiring.bridgeName);
  if (bridge === undefined) throw new GantryError('unavailable', `the bridge ${wiring.bridgeName} is gone`);
  const hostSide = `${wiring.linkPrefix}${randomHex(3)}`;
  const namespaceFd = openSync(wiring.namespaceFile, 'r');
  try {
    const peer = { name: wiring.interfaceName, macAddress: wiring.macAddress, namespaceFd };
    links.createVeth(hostSide, bridge.index, peer);
    // Where bridged frames pass the packet filter, a container that reaches itself by a translated address comes back through its own port.
    writeFileSync(`/sys/class/net/${hostSide}/brport/hairpin_mode`, '1');
  } finally {
    closeSync(namespaceFd);
  }
  withinNamespaces({ net: wiring.namespaceFile }, () => {
    using inside = LinkTable.open();
    const link = inside.find(wiring.interfaceName);
    if (link === undefined) throw new GantryError('internal', `the interface ${wiring.interfaceName} did not appear`);
    inside.setUp(link.index);
    inside.addAddress(link.index, wiring.address, wiring.prefixLength);
    if (wiring.gateway !== undefined) inside.addDefaultRoute(link.index, wiring.gateway, wiring.prefixLength === 32);
  });
}

/** Makes a fresh network namespace usable: the loopback up, redirects refused. Runs inside it. */
export function setUpNamespace(): void {
  using inside = LinkTable.open();
  inside.setUp(1);
  for (const scope of ['all', 'default']) writeSysctl(`net.ipv4.conf.${scope}.accept_redirects`, '0');
}
