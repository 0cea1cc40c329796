import type { ConnectHandler } from '../connect/connect-handler.ts';
import type { Kind } from '../kinds/kind.ts';
import type { KindRegistry } from '../kinds/registry.ts';
import type { DiscoveredResource, VirtualResource } from '../kinds/virtual.ts';

/** A group with its versions, the preferred one first. */
export interface DiscoveredGroup { readonly group: string; readonly versions: readonly { readonly version: string; readonly resources: readonly DiscoveredResource[] }[] }

/** Everything that is served, by group and version: the core group first, then in the order of the tables. */
export function discoverGroups(kinds: KindRegistry, virtual: readonly VirtualResource[], connects: ConnectHandler): DiscoveredGroup[] {
  const found = [...kinds.all().map((kind) => fromKind(kind, connects)), ...virtual.flatMap((resource) => resource.discovered?.() ?? [{ ...resource, shortNames: [], categories: [], subresources: [] }])];
  const groups = [...new Set(found.map(({ group }) => group))];
  return groups.map((group) => {
    const own = found.filter((resource) => resource.group === group);
    const versions = [...new Set(own.map(({ version }) => version))].toSorted(compareVersions);
    return { group, versions: versions.map((version) => ({ version, resources: own.filter((resource) => resource.version === version) })) };
  });
}

function fromKind(kind: Kind, connects: ConnectHandler): DiscoveredResource {
  return { ...kind.type, singular: kind.singular, verbs: kind.verbs, shortNames: kind.shortNames, categories: kind.categories, subresources: subresourcesOf(kind, connects) };
}

function subresourcesOf(kind: Kind, connects: ConnectHandler): DiscoveredResource['subresources'] {
  const { group, version } = kind.type;
  const readWrite = ['get', 'patch', 'update'];
  return [
    ...(kind.hasStatus ? [{ name: 'status', group, version, kind: kind.type.kind, verbs: readWrite }] : []),
    ...(kind.scale === undefined ? [] : [{ name: 'scale', group: 'autoscaling', version: 'v1', kind: 'Scale', verbs: readWrite }]),
    ...connects.of(group, kind.type.plural).map(({ name, optionsKind, verbs }) => ({ name, group, version, kind: optionsKind, verbs })),
    ...kind.subresources.map((given) => ({ name: given.name, group: given.group ?? group, version: given.version ?? version, kind: given.kind, verbs: given.verbs })),
  ];
}

/** Stable before beta before alpha, higher numbers first (Kubernetes API concepts, version priority). */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [rank(a), rank(b)];
  for (let index = 0; index < left.length; index += 1) {
    const difference = (right[index] ?? 0) - (left[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

function rank(version: string): number[] {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
  if (match === null) return [-1];
  const stability = match[2] === undefined ? 2 : match[2] === 'beta' ? 1 : 0;
  return [stability, Number(match[1]), Number(match[3] ?? 0)];
}
