import { isFields, type k8s, parseQuantity } from '../../../api/mod.ts';
import type { ApiObject, Kind } from '../kinds/kind.ts';

/** Amounts by resource name as a quota counts them, in 10⁻⁹ units. */
export type Usage = ReadonlyMap<string, bigint>;

const unit = 1_000_000_000n;

/** Kinds that are counted under their plain names too. */
const plainNames = new Set(['pods', 'services', 'replicationcontrollers', 'resourcequotas', 'secrets', 'configmaps', 'persistentvolumeclaims']);

/** Computed once for each version of an object: quotas are asked about on every write. */
const known = new WeakMap<ApiObject, Usage>();

/** What one object uses. Pods that have ended use nothing but their place in `count/pods`. */
export function usageOf(kind: Kind, object: ApiObject): Usage {
  const had = known.get(object);
  if (had !== undefined) return had;
  const { group, plural } = kind.type;
  const usage = new Map<string, bigint>([[group === '' ? `count/${plural}` : `count/${plural}.${group}`, unit]]);
  if (group === '' && plainNames.has(plural) && (plural !== 'pods' || !hasEnded(object as k8s.Pod))) usage.set(plural, unit);
  if (group === '' && plural === 'pods' && !hasEnded(object as k8s.Pod)) addPod(usage, (object as k8s.Pod).spec);
  if (group === '' && plural === 'services') addService(usage, (object as k8s.Service).spec);
  if (group === '' && plural === 'persistentvolumeclaims') addClaim(usage, (object as k8s.PersistentVolumeClaim).spec);
  known.set(object, usage);
  return usage;
}

function hasEnded({ status }: k8s.Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

function addPod(usage: Map<string, bigint>, spec: k8s.PodSpec | undefined): void {
  for (const [name, amount] of podAmounts(spec, 'requests')) {
    usage.set(`requests.${name}`, amount);
    if (name === 'cpu' || name === 'memory' || name === 'ephemeral-storage') usage.set(name, amount);
  }
  for (const [name, amount] of podAmounts(spec, 'limits')) usage.set(`limits.${name}`, amount);
}

/** What a pod asks for: its containers and sidecars together, or its largest init container with the sidecars started before it. */
export function podAmounts(spec: k8s.PodSpec | undefined, field: 'requests' | 'limits'): Map<string, bigint> {
  const total = new Map<string, bigint>();
  const add = (to: Map<string, bigint>, container: k8s.Container): void => {
    for (const [name, amount] of Object.entries(container.resources?.[field] ?? {})) to.set(name, (to.get(name) ?? 0n) + parseQuantity(amount).nano);
  };
  for (const container of spec?.containers ?? []) add(total, container);
  const sidecars = new Map<string, bigint>();
  const peak = new Map<string, bigint>();
  for (const container of spec?.initContainers ?? []) {
    const needed = new Map(sidecars);
    add(needed, container);
    if (container.restartPolicy === 'Always') add(sidecars, container);
    for (const [name, amount] of needed) if (amount > (peak.get(name) ?? 0n)) peak.set(name, amount);
  }
  for (const [name, amount] of sidecars) total.set(name, (total.get(name) ?? 0n) + amount);
  for (const [name, amount] of peak) if (amount > (total.get(name) ?? 0n)) total.set(name, amount);
  return total;
}

function addService(usage: Map<string, bigint>, spec: k8s.ServiceSpec | undefined): void {
  const ports = BigInt(spec?.ports?.length ?? 0) * unit;
  if (spec?.type === 'LoadBalancer') {
    usage.set('services.loadbalancers', unit);
    if (spec.allocateLoadBalancerNodePorts !== false) usage.set('services.nodeports', ports);
  } else if (spec?.type === 'NodePort') usage.set('services.nodeports', ports);
}

function addClaim(usage: Map<string, bigint>, spec: k8s.PersistentVolumeClaimSpec | undefined): void {
  const asked = isFields(spec?.resources?.requests) ? spec.resources.requests['storage'] : undefined;
  const amount = asked === undefined ? 0n : parseQuantity(asked).nano;
  usage.set('requests.storage', amount);
  if (spec?.storageClassName === undefined || spec.storageClassName === '') return;
  usage.set(`${spec.storageClassName}.storageclass.storage.k8s.io/requests.storage`, amount);
  usage.set(`${spec.storageClassName}.storageclass.storage.k8s.io/persistentvolumeclaims`, unit);
}

/** The containers that do not say how much they need of what the quota limits, by resource: such pods are refused. */
export function missingAmounts(spec: k8s.PodSpec | undefined, limited: readonly string[]): Map<string, string[]> {
  const missing = new Map<string, string[]>();
  const wanted = new Set(limited);
  for (const name of ['cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory']) {
    if (!wanted.has(name)) continue;
    const [field, resource] = name.includes('.') ? (name.split('.') as ['requests' | 'limits', string]) : (['requests', name] as const);
    const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].filter(({ resources }) => resources?.[field]?.[resource] === undefined);
    if (containers.length > 0) missing.set(name, containers.map((container) => container.name));
  }
  return missing;
}
