import type { k8s } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';

/** Where a pod's configuration comes from: caches of the API in front of the API itself. */
export interface ConfigSource {
  configMap(namespace: string, name: string, signal: AbortSignal): Promise<k8s.ConfigMap | undefined>;
  secret(namespace: string, name: string, signal: AbortSignal): Promise<k8s.Secret | undefined>;
  services(namespace: string): readonly k8s.Service[];
  /** A token for the pod's service account and when it ends (Kubernetes API, authentication/v1 TokenRequest). */
  serviceAccountToken(pod: k8s.Pod, request: { audience?: string; expirationSeconds?: number }, signal: AbortSignal): Promise<{ token: string; expiresAtMs: number }>;
  /** What the node can give to pods: the value of limits nobody set. */
  readonly allocatable: { cpuMilli: number; memoryBytes: number; ephemeralStorageBytes: number };
}

/** All keys of a ConfigMap as bytes. */
export function configMapEntries(object: k8s.ConfigMap): Map<string, Buffer> {
  return new Map([
    ...Object.entries(object.data ?? {}).map(([key, value]): [string, Buffer] => [key, Buffer.from(value)]),
    ...Object.entries(object.binaryData ?? {}).map(([key, value]): [string, Buffer] => [key, Buffer.from(value, 'base64')]),
  ]);
}

/** All keys of a Secret as bytes. */
export function secretEntries(object: k8s.Secret): Map<string, Buffer> {
  return new Map(Object.entries(object.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64')]));
}

/** The keys of the named ConfigMap or Secret; undefined when it is missing and optional, `not-found` when it is missing. */
export async function readEntries(
  source: ConfigSource,
  kind: 'ConfigMap' | 'Secret',
  namespace: string,
  ref: { name?: string; optional?: boolean },
  signal: AbortSignal,
): Promise<Map<string, Buffer> | undefined> {
  const name = ref.name ?? '';
  const object = kind === 'ConfigMap' ? await source.configMap(namespace, name, signal) : await source.secret(namespace, name, signal);
  if (object !== undefined) return kind === 'ConfigMap' ? configMapEntries(object) : secretEntries(object);
  if (ref.optional === true) return undefined;
  throw new GantryError('not-found', `${kind.toLowerCase()} "${name}" not found`);
}
