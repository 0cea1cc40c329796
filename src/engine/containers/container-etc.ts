import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../kernel/mod.ts';
import { containerDnsAddress } from '../networks/container-dns.ts';
import { changeHosts, type DnsConfig, formatResolvConf, ownHosts, planDns } from '../networks/etc-files.ts';
import type { ContainerSpec, EndpointStatus } from '../types.ts';
import type { ContainerEntry } from './container-entry.ts';
import { linkedOn, moveLink } from './links.ts';

/** The names of a container by its host and domain name, the full one first. */
export function hostNames(hostname: string, domainname: string | undefined): string[] {
  return domainname === undefined || domainname === '' ? [hostname] : [`${hostname}.${domainname}`, hostname];
}

/** resolv.conf: on a network that answers names its server, which knows the caller's servers; else those themselves. Pure. */
export function planContainerDns(spec: ContainerSpec, hasNames: boolean, host: DnsConfig): DnsConfig {
  const planned = planDns(spec.dns, host, spec.network.mode === 'host');
  return hasNames ? { ...planned, servers: [containerDnsAddress], options: [...planned.options.filter((option) => !option.startsWith('ndots:')), 'ndots:0'] } : planned;
}

/** The resolv.conf as this engine wrote it last. */
const madeResolver = 'resolv.conf.made';

/** Writes resolv.conf, in place, and keeps what was written, so that a change by the container is known later. */
export function writeResolver(folder: string, dns: DnsConfig): void {
  const text = formatResolvConf(dns);
  for (const name of [madeResolver, 'resolv.conf']) writeFileSync(join(folder, name), text);
}

/** Tells the running containers that link to this one, which has just been started, where it is now. */
export async function updateLinkedHosts(child: ContainerEntry, all: readonly ContainerEntry[]): Promise<void> {
  for (const { isRunning, spec, status, paths } of all) {
    const [own] = status.endpoints;
    for (const link of (isRunning && own !== undefined ? spec.links : undefined) ?? []) {
      const linked = link.containerId === child.id && own !== undefined ? linkedOn(own.networkId, link, child) : undefined;
      const hosts = join(paths.etc, 'hosts');
      const text = linked === undefined ? undefined : await readIfThere(hosts);
      if (linked !== undefined && text !== undefined) writeFileSync(hosts, moveLink(text, linked));
    }
  }
}

export interface EtcChange {
  readonly before: { readonly endpoints: readonly EndpointStatus[]; readonly hasNames: boolean };
  readonly after: { readonly endpoints: readonly EndpointStatus[]; readonly hasNames: boolean };
}

/** Brings the files of a running container in line with its networks. Written in place: the container has them mounted. */
export async function updateEtcFiles({ id, spec, paths }: ContainerEntry, { before, after }: EtcChange, host: DnsConfig): Promise<void> {
  const names = hostNames(spec.hostname === '' ? id.slice(0, 12) : spec.hostname, spec.domainname);
  const hosts = join(paths.etc, 'hosts');
  const isNew = ({ networkId }: EndpointStatus, others: readonly EndpointStatus[]): boolean => !others.some((other) => other.networkId === networkId);
  const removed = ownHosts(before.endpoints.filter((endpoint) => isNew(endpoint, after.endpoints)), names);
  const added = ownHosts(after.endpoints.filter((endpoint) => isNew(endpoint, before.endpoints)), names);
  const text = await readIfThere(hosts);
  if (text !== undefined) writeFileSync(hosts, changeHosts(text, removed, added));
  if (before.hasNames === after.hasNames) return;
  // What the container has written there itself stays. The host's settings may have changed since the file was made.
  const [current, made] = await Promise.all([readIfThere(join(paths.etc, 'resolv.conf')), readIfThere(join(paths.etc, madeResolver))]);
  if (current === (made ?? formatResolvConf(planContainerDns(spec, before.hasNames, host)))) writeResolver(paths.etc, planContainerDns(spec, after.hasNames, host));
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
