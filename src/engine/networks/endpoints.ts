import { closeSync, openSync, writeFileSync } from 'node:fs';
import { LinkTable, readSysctl, withinNamespaces, writeSysctl } from '../../host/mod.ts';
import { GantryError, randomHex } from '../../kernel/mod.ts';

export interface EndpointWiring {
  readonly namespaceFile: string;
  readonly bridgeName: string;
  /** Prefix of host-side interface names; at most eight characters. */
  readonly linkPrefix: string;
  readonly interfaceName: string;
  readonly address: string;
  readonly prefixLength: number;
  readonly ipv6: { readonly address: string; readonly prefixLength: number } | undefined;
  readonly macAddress: string;
  readonly mtu: number | undefined;
  /** Kept from other containers of the bridge. */
  readonly isAlone: boolean;
  /** None: no default route of that family (an internal network, or not the first interface). */
  readonly gateways: readonly string[];
}

/**
 * Joins a network namespace to a bridge: veth pair, addresses, default routes. Synchronous, about 2 ms; the kernel removes both ends with
 * the namespace. With a /32 the namespace reaches even its neighbours through the gateway, so that the host's packet filter sees it all.
 */
export function wireEndpoint(links: LinkTable, wiring: EndpointWiring): void {
  const bridge = links.find(wiring.bridgeName);
  if (bridge === undefined) throw new GantryError('unavailable', `the bridge ${wiring.bridgeName} is gone`);
  const hostSide = `${wiring.linkPrefix}${randomHex(3)}`;
  const namespaceFd = openSync(wiring.namespaceFile, 'r');
  try {
    const peer = { name: wiring.interfaceName, macAddress: wiring.macAddress, namespaceFd };
    links.createVeth(hostSide, bridge.index, peer, wiring.mtu);
    // Where bridged frames pass the packet filter, a container that reaches itself by a translated address comes back through its own port.
    writeFileSync(`/sys/class/net/${hostSide}/brport/hairpin_mode`, '1');
    if (wiring.isAlone && !passesFilter()) writeFileSync(`/sys/class/net/${hostSide}/brport/isolated`, '1');
  } finally {
    closeSync(namespaceFd);
  }
  withinNamespaces({ net: wiring.namespaceFile }, () => {
    using inside = LinkTable.open();
    const link = inside.find(wiring.interfaceName);
    if (link === undefined) throw new GantryError('internal', `the interface ${wiring.interfaceName} did not appear`);
    // Before it is up: a neighbour's router advertisement must not become the way out.
    if (wiring.ipv6 !== undefined) writeSysctl(`net.ipv6.conf.${wiring.interfaceName}.accept_ra`, '0');
    inside.setUp(link.index);
    inside.addAddress(link.index, wiring.address, wiring.prefixLength);
    if (wiring.ipv6 !== undefined) inside.addAddress(link.index, wiring.ipv6.address, wiring.ipv6.prefixLength);
    for (const gateway of wiring.gateways) inside.setDefaultRoute(link.index, gateway, wiring.prefixLength === 32);
  });
}

/** Whether bridged frames pass the packet filter, which then keeps containers apart and still lets published ports through. */
function passesFilter(): boolean {
  return readSysctl('net.bridge.bridge-nf-call-iptables') === '1' && readSysctl('net.bridge.bridge-nf-call-ip6tables') !== '0';
}

/** Makes these the only default routes of the namespace. */
export function routeNamespace(namespaceFile: string, routes: { ipv4: DefaultRoute | undefined; ipv6: DefaultRoute | undefined }): void {
  withinNamespaces({ net: namespaceFile }, () => {
    using inside = LinkTable.open();
    for (const [isIpv6, route] of [[false, routes.ipv4], [true, routes.ipv6]] as const) {
      if (route === undefined) {
        inside.removeDefaultRoute(isIpv6);
        continue;
      }
      const link = inside.find(route.interfaceName);
      if (link === undefined) throw new GantryError('internal', `the interface ${route.interfaceName} is gone`);
      // IPv6 keeps several; replacing is not enough.
      if (isIpv6) inside.removeDefaultRoute(true);
      inside.setDefaultRoute(link.index, route.gateway, false);
    }
  });
}

export interface DefaultRoute { readonly interfaceName: string; readonly gateway: string }

/** Makes a fresh network namespace usable: the loopback up, redirects refused. Runs inside it. */
export function setUpNamespace(): void {
  using inside = LinkTable.open();
  inside.setUp(1);
  for (const scope of ['all', 'default']) writeSysctl(`net.ipv4.conf.${scope}.accept_redirects`, '0');
}
