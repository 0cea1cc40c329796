import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { k8s } from '../../../api/mod.ts';

/** The label that tells the ReplicaSets of a Deployment, and their pods, apart. */
export const templateHashLabel = 'pod-template-hash';

const alphabet = 'bcdfghjklmnpqrstvwxz2456789';

/** A short name for a template: equal templates have equal hashes. `collisionCount` makes another when the name is taken by another template. */
export function templateHash(template: k8s.PodTemplateSpec, collisionCount: number): string {
  const digest = createHash('sha256').update(canonicalJson(template)).update(`:${collisionCount}`).digest();
  return Array.from(digest.subarray(0, 10), (byte) => alphabet[byte % alphabet.length]).join('');
}

/** Whether two templates are the same but for the hash label that the controller adds. */
export function isSameTemplate(a: k8s.PodTemplateSpec | undefined, b: k8s.PodTemplateSpec | undefined): boolean {
  return isDeepStrictEqual(JSON.parse(canonicalJson(a)), JSON.parse(canonicalJson(b)));
}

/** JSON with sorted keys; undefined values, empty objects and the hash label are left out, as they mean nothing in a template's metadata. */
function canonicalJson(template: k8s.PodTemplateSpec | undefined): string {
  const { [templateHashLabel]: _hash, ...labels } = template?.metadata?.labels ?? {};
  const { creationTimestamp: _time, ...metadata } = template?.metadata ?? {};
  const annotations = metadata.annotations ?? {};
  const plain = { spec: template?.spec, metadata: { ...metadata, labels, annotations: Object.keys(annotations).length === 0 ? undefined : annotations } };
  return JSON.stringify(plain, (_key, value: unknown) => (isObject(value) ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))) : value));
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
