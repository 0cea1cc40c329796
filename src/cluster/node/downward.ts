import { type k8s, parseQuantity } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { ConfigSource } from './config-source.ts';

/** What fields of a pod can be asked for before its status has them. */
export interface PodFacts { readonly pod: k8s.Pod; readonly nodeName: string; readonly nodeIp: string; readonly podIp: string }

/** The text of a `fieldRef` (Kubernetes, "Downward API"). `unsupported` names a path that is not offered. */
export function fieldText(facts: PodFacts, path: string): string {
  const { metadata, spec } = facts.pod;
  const subscript = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(path);
  if (subscript !== null) return metadata?.[subscript[1] === 'labels' ? 'labels' : 'annotations']?.[subscript[2] ?? ''] ?? '';
  const fields: Record<string, () => string> = {
    'metadata.name': () => metadata?.name ?? '',
    'metadata.namespace': () => metadata?.namespace ?? '',
    'metadata.uid': () => metadata?.uid ?? '',
    'metadata.labels': () => formatMap(metadata?.labels),
    'metadata.annotations': () => formatMap(metadata?.annotations),
    'spec.nodeName': () => facts.nodeName,
    'spec.serviceAccountName': () => spec?.serviceAccountName ?? spec?.serviceAccount ?? 'default',
    'status.hostIP': () => facts.nodeIp,
    'status.hostIPs': () => facts.nodeIp,
    'status.podIP': () => facts.podIp,
    'status.podIPs': () => facts.podIp,
  };
  const field = fields[path];
  if (field === undefined) throw new GantryError('unsupported', `fieldRef ${JSON.stringify(path)} is not supported`);
  return field();
}

/** The text of a `resourceFieldRef`: the quantity divided by the divisor, rounded up. Limits that are not set are the node's. */
export function resourceText(pod: k8s.Pod, selector: k8s.ResourceFieldSelector, ownContainer: string | undefined, allocatable: ConfigSource['allocatable']): string {
  const name = selector.containerName ?? ownContainer;
  const container = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].find((one) => one.name === name);
  if (container === undefined) throw new GantryError('invalid', `resourceFieldRef names the container ${JSON.stringify(name)}, which the pod has not`);
  const [kind, ...rest] = selector.resource.split('.');
  const resource = rest.join('.');
  const defaults: Record<string, string> = {
    cpu: `${allocatable.cpuMilli}m`,
    memory: String(allocatable.memoryBytes),
    'ephemeral-storage': String(allocatable.ephemeralStorageBytes),
  };
  const byDefault = defaults[resource];
  if (byDefault === undefined || (kind !== 'limits' && kind !== 'requests')) {
    throw new GantryError('unsupported', `resourceFieldRef ${JSON.stringify(selector.resource)} is not supported`);
  }
  const { requests, limits } = container.resources ?? {};
  const value = kind === 'limits' ? (limits?.[resource] ?? byDefault) : (requests?.[resource] ?? limits?.[resource] ?? '0');
  // A divisor of 0 means 1.
  const divisor = parseQuantity(selector.divisor ?? '1').nano || parseQuantity('1').nano;
  const amount = parseQuantity(value).nano;
  return String((amount + divisor - 1n) / divisor);
}

function formatMap(entries: Record<string, string> | undefined): string {
  const sorted = Object.entries(entries ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join('\n');
}
