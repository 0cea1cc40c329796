import { readFileSync } from 'node:fs';
import { errnoOf } from '../../kernel/mod.ts';
import type { EndpointStatus } from '../types.ts';

export interface HostsEntry { ip: string; names: string[] }

/** /etc/hosts of a container: the loopback names, its own addresses, what the caller adds. */
export function formatHosts(own: readonly HostsEntry[], extra: readonly HostsEntry[]): string {
  const loopback = ['127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost ip6-loopback', 'fe00::\tip6-localnet', 'ff00::\tip6-mcastprefix', 'ff02::1\tip6-allnodes', 'ff02::2\tip6-allrouters'];
  const entries = [...own, ...extra].filter(({ names }) => names.length > 0).map(({ ip, names }) => `${ip}\t${names.join(' ')}`);
  return `${[...loopback, ...entries].join('\n')}\n`;
}

/** The entries of a container's own addresses. */
export function ownHosts(endpoints: readonly Pick<EndpointStatus, 'ipv4Address' | 'ipv6'>[], names: readonly string[]): HostsEntry[] {
  return endpoints.flatMap(({ ipv4Address, ipv6 }) => [ipv4Address, ...(ipv6 === undefined ? [] : [ipv6.address])]).map((ip) => ({ ip, names: [...names] }));
}

/** /etc/hosts with entries taken out and put in, everything else as it is: it may hold what the container wrote itself. Pure. */
export function changeHosts(text: string, removed: readonly HostsEntry[], added: readonly HostsEntry[]): string {
  const lineOf = ({ ip, names }: HostsEntry): string => `${ip}\t${names.join(' ')}`;
  const gone = new Set(removed.map(lineOf));
  const kept = text.split('\n').filter((line) => line !== '' && !gone.has(line));
  return `${[...kept, ...added.map(lineOf)].join('\n')}\n`;
}

export interface DnsConfig { servers: string[]; searches: string[]; options: string[] }

/** resolv.conf(5). */
export function formatResolvConf(dns: DnsConfig): string {
  return [
    ...dns.servers.map((server) => `nameserver ${server}`),
    ...(dns.searches.length === 0 ? [] : [`search ${dns.searches.join(' ')}`]),
    ...(dns.options.length === 0 ? [] : [`options ${dns.options.join(' ')}`]),
  ].map((line) => `${line}\n`).join('');
}

/** The host's own resolver settings. */
export function parseResolvConf(text: string): DnsConfig {
  const dns: DnsConfig = { servers: [], searches: [], options: [] };
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.replace(/[#;].*$/, '').trim().split(/\s+/);
    if (keyword === 'nameserver') dns.servers.push(...values.slice(0, 1));
    else if (keyword === 'search' || keyword === 'domain') dns.searches = values;
    else if (keyword === 'options') dns.options.push(...values);
  }
  return dns;
}

/**
 * What a container uses: the parts it sets itself, the host's for the others. A resolver on the host's loopback cannot be reached from
 * another network namespace; systemd-resolved's real upstreams are in a second file.
 */
export function planDns(wanted: DnsConfig, host: DnsConfig, canReachLoopback: boolean): DnsConfig {
  const reachable = canReachLoopback ? host.servers : host.servers.filter((server) => !/^(127\.|::1)/.test(server));
  return {
    servers: wanted.servers.length > 0 ? wanted.servers : reachable,
    searches: wanted.searches.length > 0 ? wanted.searches.filter((search) => search !== '.') : host.searches,
    options: wanted.options.length > 0 ? wanted.options : host.options,
  };
}

/** Reads the host's settings; empty when it has none. */
export function readHostDns(file = '/etc/resolv.conf'): DnsConfig {
  const read = (path: string): DnsConfig => {
    try {
      return parseResolvConf(readFileSync(path, 'utf8'));
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return { servers: [], searches: [], options: [] };
      throw error;
    }
  };
  const stub = read(file);
  return stub.servers.length > 0 && stub.servers.every((server) => server === '127.0.0.53') ? read('/run/systemd/resolve/resolv.conf') : stub;
}
