import { GantryError } from '../../kernel/mod.ts';
import type { HostsEntry } from '../networks/etc-files.ts';
import type { ContainerId, ContainerLink, EndpointStatus } from '../types.ts';
import type { ContainerEntry } from './container-entry.ts';

/** A container that is linked, as it is now. */
export interface LinkedContainer {
  readonly alias: string;
  readonly name: string;
  readonly hostname: string;
  readonly address: string;
  /** As `80/tcp`. */
  readonly ports: readonly string[];
  readonly env: readonly string[];
}

/**
 * The containers that a starting one links to, at their addresses on its first network. What is linked must run, as under Docker: its
 * address is told in variables, which cannot be changed later. One that was removed is linked no more.
 */
export function resolveLinks(parent: ContainerEntry, endpoints: readonly EndpointStatus[], find: (id: ContainerId) => ContainerEntry | undefined): LinkedContainer[] {
  const [own] = endpoints;
  return (parent.spec.links ?? []).flatMap((link) => {
    const child = find(link.containerId);
    if (child === undefined) return [];
    const linked = own === undefined ? undefined : linkedOn(own.networkId, link, child);
    if (linked === undefined) throw new GantryError('conflict', `Cannot link to /${child.spec.name}, as it does not belong to the default network`);
    return [linked];
  });
}

/** `conflict` when a container that is linked does not run. */
export function checkLinks(parent: ContainerEntry, find: (id: ContainerId) => ContainerEntry | undefined): void {
  for (const { containerId, alias } of parent.spec.links ?? []) {
    const child = find(containerId);
    if (child !== undefined && !child.isRunning) throw new GantryError('conflict', `Cannot link to a non running container: /${child.spec.name} AS /${parent.spec.name}/${alias}`);
  }
}

/** The link as it is on the network; undefined when the container is not on it. */
export function linkedOn(networkId: string, { alias, ports }: ContainerLink, { id, spec, status }: ContainerEntry): LinkedContainer | undefined {
  const endpoint = status.endpoints.find((other) => other.networkId === networkId);
  if (endpoint === undefined) return undefined;
  return { alias, name: spec.name, hostname: spec.hostname === '' ? id.slice(0, 12) : spec.hostname, address: endpoint.ipv4Address, ports, env: spec.env };
}

/** A line of /etc/hosts: the alias, the host name, and the name when it is another than the alias. */
export function linkHosts({ address, alias, hostname, name }: LinkedContainer): HostsEntry {
  return { ip: address, names: [alias, hostname, ...(name === alias ? [] : [name])] };
}

/** /etc/hosts with the line of a container that was started again at its new address; everything else as it is. Pure. */
export function moveLink(text: string, linked: LinkedContainer): string {
  const { ip, names } = linkHosts(linked);
  return text.split('\n').map((line) => (line.split(/\s+/)[1] === linked.alias ? `${ip}\t${names.join(' ')}` : line)).join('\n');
}

/**
 * The variables that tell a container of what it links to (Docker docs, "Legacy container links", environment variables): the name, the
 * first port, each port, runs of ports, and the variables of the other one.
 */
export function linkVariables(parentName: string, linked: LinkedContainer): string[] {
  const prefix = linked.alias.toUpperCase().replaceAll('-', '_');
  const ports = linked.ports.map(parsePort).toSorted((a, b) => a.number - b.number || (a.protocol === 'tcp' ? -1 : 1));
  const url = ({ number, protocol }: Port): string => `${protocol}://${linked.address}:${number}`;
  const key = ({ number, protocol }: Port): string => `${prefix}_PORT_${number}_${protocol.toUpperCase()}`;
  const [first] = ports;
  const runs = runsOf(ports).flatMap(({ from, to }) => [`${key(from)}_START=${url(from)}`, `${key(from)}_PORT_START=${from.number}`, `${key(from)}_END=${url(to)}`, `${key(from)}_PORT_END=${to.number}`]);
  const each = ports.flatMap((port) => [`${key(port)}=${url(port)}`, `${key(port)}_ADDR=${linked.address}`, `${key(port)}_PORT=${port.number}`, `${key(port)}_PROTO=${port.protocol}`]);
  const inherited = linked.env.filter((variable) => !/^(HOME|PATH)=/.test(variable) && variable.includes('=')).map((variable) => `${prefix}_ENV_${variable}`);
  return [...(first === undefined ? [] : [`${prefix}_PORT=${url(first)}`]), ...runs, ...each, `${prefix}_NAME=/${parentName}/${linked.alias}`, ...inherited];
}

interface Port { readonly number: number; readonly protocol: string }

function parsePort(text: string): Port {
  const [number = '', protocol = 'tcp'] = text.split('/');
  return { number: Number(number), protocol };
}

/** Runs of three and more consecutive ports of one protocol. */
function runsOf(ports: readonly Port[]): { from: Port; to: Port }[] {
  const runs: { from: Port; to: Port }[] = [];
  for (const port of ports) {
    const last = runs.at(-1);
    if (last !== undefined && last.to.protocol === port.protocol && last.to.number + 1 === port.number) runs[runs.length - 1] = { from: last.from, to: port };
    else runs.push({ from: port, to: port });
  }
  return runs.filter(({ from, to }) => to.number > from.number + 1);
}
