import type { ResourceType } from '../api/mod.ts';
import type { KubeClient } from './client.ts';

/** A served resource and what can be done with it. */
export interface DiscoveredResource extends ResourceType {
  readonly verbs: readonly string[];
  readonly subresources: readonly string[];
}

interface GroupList { groups?: { name: string; versions: { groupVersion: string; version: string }[]; preferredVersion?: { groupVersion: string } }[] }
interface ResourceList { resources?: { name: string; kind: string; namespaced: boolean; verbs?: string[]; group?: string; version?: string }[] }

/** Every resource the server has, each in the version its group prefers. Aggregated groups that do not answer are left out. */
export async function discoverResources(client: KubeClient, signal: AbortSignal): Promise<DiscoveredResource[]> {
  const groups = ((await client.request('GET', '/apis', undefined, signal)) as GroupList).groups ?? [];
  const groupVersions = groups.map(({ versions, preferredVersion }) => preferredVersion?.groupVersion ?? versions[0]?.groupVersion ?? '').filter((groupVersion) => groupVersion !== '');
  const lists = await Promise.allSettled([readGroup(client, '/api/v1', '', 'v1', signal), ...groupVersions.map((groupVersion) => readGroupVersion(client, groupVersion, signal))]);
  return lists.flatMap((list, index) => {
    if (list.status === 'fulfilled') return list.value;
    if (index === 0) throw list.reason;
    return [];
  });
}

/** The resources of one `group/version`. `not-found` when the server does not have it. */
export function readGroupVersion(client: KubeClient, groupVersion: string, signal: AbortSignal): Promise<DiscoveredResource[]> {
  const slash = groupVersion.indexOf('/');
  if (slash < 0) return readGroup(client, `/api/${groupVersion}`, '', groupVersion, signal);
  return readGroup(client, `/apis/${groupVersion}`, groupVersion.slice(0, slash), groupVersion.slice(slash + 1), signal);
}

async function readGroup(client: KubeClient, path: string, group: string, version: string, signal: AbortSignal): Promise<DiscoveredResource[]> {
  const all = ((await client.request('GET', path, undefined, signal)) as ResourceList).resources ?? [];
  return all.filter(({ name }) => !name.includes('/')).map(({ name, kind, namespaced, verbs }) => ({
    group,
    version,
    plural: name,
    kind,
    isNamespaced: namespaced,
    verbs: verbs ?? [],
    subresources: all.filter((other) => other.name.startsWith(`${name}/`)).map((other) => other.name.slice(name.length + 1)),
  }));
}
