/**
 * Lists of objects that are merged by a key, by field name. All other lists are replaced whole.
 * (Kubernetes' own types, struct tags `patchMergeKey`; the names are unambiguous within what people write in manifests.)
 */
const mergeKeys: Readonly<Record<string, readonly string[]>> = {
  containers: ['name'],
  initContainers: ['name'],
  ephemeralContainers: ['name'],
  volumes: ['name'],
  env: ['name'],
  imagePullSecrets: ['name'],
  volumeMounts: ['mountPath'],
  volumeDevices: ['devicePath'],
  hostAliases: ['ip'],
  topologySpreadConstraints: ['topologyKey'],
  ports: ['containerPort', 'port'],
};

type Fields = Readonly<Record<string, unknown>>;

/**
 * What an object becomes when a manifest is applied to it: fields of the manifest win, fields that the manifest had the last time and
 * has no more go, fields that others set stay (Kubernetes docs, "How apply calculates differences and merges changes").
 */
export function threeWayMerge(last: unknown, desired: unknown, live: unknown, field = ''): unknown {
  if (isFields(desired) && isFields(live)) return mergeFields(isFields(last) ? last : {}, desired, live);
  if (Array.isArray(desired) && Array.isArray(live)) return mergeLists(Array.isArray(last) ? last : [], desired, live, field);
  return desired;
}

function mergeFields(last: Fields, desired: Fields, live: Fields): Fields {
  const merged: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(live)) {
    if (field in desired) merged[field] = threeWayMerge(last[field], desired[field], value, field);
    else if (!(field in last)) merged[field] = value;
    // In a manifest's earlier version and gone from it: what others added below it stays.
    else if (isFields(value) && isFields(last[field])) {
      const rest = mergeFields(last[field], {}, value);
      if (Object.keys(rest).length > 0) merged[field] = rest;
    }
  }
  for (const [field, value] of Object.entries(desired)) if (!(field in live)) merged[field] = value;
  return merged;
}

function mergeLists(last: readonly unknown[], desired: readonly unknown[], live: readonly unknown[], field: string): readonly unknown[] {
  const key = mergeKeys[field]?.find((name) => desired.every((item) => isFields(item) && item[name] !== undefined));
  if (key === undefined || desired.length === 0) return desired;
  const byKey = (items: readonly unknown[]): Map<string, unknown> => new Map(items.flatMap((item) => (isFields(item) ? [[identity(item, key), item] as const] : [])));
  const [lastItems, desiredItems, liveItems] = [byKey(last), byKey(desired), byKey(live)];
  // Two items with one key (a port for TCP and for UDP is not one) cannot be merged by it.
  if (desiredItems.size < desired.length) return desired;
  const own = [...desiredItems].map(([name, item]) => (liveItems.has(name) ? threeWayMerge(lastItems.get(name), item, liveItems.get(name)) : item));
  const others = [...liveItems].filter(([name]) => !desiredItems.has(name) && !lastItems.has(name)).map(([, item]) => item);
  return [...own, ...others];
}

function identity(item: Fields, key: string): string {
  return JSON.stringify([item[key], key === 'containerPort' || key === 'port' ? (item['protocol'] ?? 'TCP') : '']);
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
