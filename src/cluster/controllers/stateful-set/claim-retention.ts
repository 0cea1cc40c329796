import { isDeepStrictEqual } from 'node:util';
import { apiVersionOf, type k8s, resources } from '../../../api/mod.ts';
import { claimName } from './identity.ts';
import { type ObservedStatefulSet, ordinalOf, type Pod, type StatefulSet, type StatefulSetAction, type VolumeClaim } from './observed.ts';

/**
 * Who takes a claim along: with `whenDeleted: Delete` the set, with `whenScaled: Delete` the pod that a scale-down takes. The
 * garbage collector does the rest. (Kubernetes, "PersistentVolumeClaim retention".)
 */
export function planVolumeClaims({ set, volumeClaims }: ObservedStatefulSet, condemned: readonly Pod[]): StatefulSetAction[] {
  const templates = set.spec.volumeClaimTemplates ?? [];
  if (templates.length === 0 || set.metadata.deletionTimestamp !== undefined) return [];
  const goingByOrdinal = new Map(condemned.map((pod) => [ordinalOf(set, pod) ?? -1, pod]));
  return [...claimsOf(set, templates, volumeClaims)].flatMap(({ claim, ordinal }): StatefulSetAction[] => {
    if (claim.metadata.deletionTimestamp !== undefined) return [];
    const before = claim.metadata.ownerReferences ?? [];
    const owners = [...before.filter((owner) => !isOurs(set, owner)), ...wantedOwners(set, goingByOrdinal.get(ordinal), before)];
    return isDeepStrictEqual(owners, before) ? [] : [{ type: 'own-claim', claim, owners }];
  });
}

function* claimsOf(set: StatefulSet, templates: readonly k8s.PersistentVolumeClaim[], claims: ReadonlyMap<string, VolumeClaim>): Generator<{ claim: VolumeClaim; ordinal: number }> {
  for (const template of templates) {
    const prefix = claimName(set, template, 0).slice(0, -1);
    for (const [name, claim] of claims) {
      const rest = name.startsWith(prefix) ? name.slice(prefix.length) : '';
      if (/^\d+$/.test(rest)) yield { claim, ordinal: Number(rest) };
    }
  }
}

function wantedOwners(set: StatefulSet, condemned: Pod | undefined, before: readonly k8s.OwnerReference[]): k8s.OwnerReference[] {
  const { whenDeleted, whenScaled } = set.spec.persistentVolumeClaimRetentionPolicy ?? {};
  if (condemned !== undefined && whenScaled === 'Delete') return [{ apiVersion: 'v1', kind: 'Pod', name: condemned.metadata.name, uid: condemned.metadata.uid }];
  // A claim whose pod is gone already keeps that owner: it is about to be collected.
  const left = before.filter((owner) => owner.kind === 'Pod' && whenScaled === 'Delete' && condemned === undefined && !isInRange(set, owner.name));
  if (left.length > 0) return left;
  const apiVersion = apiVersionOf(resources.statefulSets);
  return whenDeleted === 'Delete' ? [{ apiVersion, kind: 'StatefulSet', name: set.metadata.name, uid: set.metadata.uid }] : [];
}

function isInRange(set: StatefulSet, podName: string): boolean {
  const ordinal = Number(podName.slice(set.metadata.name.length + 1));
  const start = set.spec.ordinals?.start ?? 0;
  return ordinal >= start && ordinal < start + (set.spec.replicas ?? 1);
}

function isOurs(set: StatefulSet, { kind, name, uid }: k8s.OwnerReference): boolean {
  return uid === set.metadata.uid || (kind === 'Pod' && name.startsWith(`${set.metadata.name}-`));
}
