import type { k8s } from '../../../api/mod.ts';
import { resources } from '../../../api/mod.ts';
import type { Plan } from '../../../client/mod.ts';
import { resolve } from '../deployment/fenceposts.ts';
import { availableInMs, isReady } from '../pods/readiness.ts';
import { revisionActions } from '../revisions/revision-control.ts';
import { planRevision, revisionLabel, surplusRevisions } from '../revisions/revisions.ts';
import { planVolumeClaims } from './claim-retention.ts';
import { claimsFor, statefulPod } from './identity.ts';
import { type ObservedStatefulSet, ordinalOf, type Pod, startOf, type StatefulSet, type StatefulSetAction } from './observed.ts';

/** What one pass of a Parallel set creates at most. */
const burst = 500;

/** Everything one pass decides from. */
interface View {
  readonly set: StatefulSet;
  readonly current: k8s.ControllerRevision;
  readonly update: k8s.ControllerRevision;
  readonly ordinals: readonly number[];
  readonly pods: ReadonlyMap<number, Pod>;
  /** Beyond the range, the highest first. */
  readonly condemned: readonly Pod[];
  readonly isParallel: boolean;
  readonly isGoing: (pod: Pod) => boolean;
  readonly isAvailable: (pod: Pod) => boolean;
}

/** One step of a StatefulSet. Ordered sets do one thing at a time and wait for it; parallel ones do all at once, but update as carefully. */
export function planStatefulSet(observed: ObservedStatefulSet): Plan<StatefulSetAction, k8s.StatefulSetStatus> {
  const { set, claim, revisions, nowMs, pendingCreations } = observed;
  const revision = planRevision(resources.statefulSets, set, revisions);
  const { update } = revision;
  const current = revisions.find(({ metadata }) => metadata.name === set.status?.currentRevision) ?? update;
  const view = viewOf(observed, current, update);
  const status = planStatus(view, [...claim.owned, ...claim.adopt]);
  const inUse = new Set([current.metadata?.name ?? '', update.metadata.name, ...[...claim.owned, ...claim.adopt].map(({ metadata }) => metadata.labels?.[revisionLabel] ?? '')]);
  const waits = [...view.pods.values()].flatMap((pod) => availableInMs(pod, set.spec.minReadySeconds ?? 0, nowMs) ?? []).filter((waitMs) => waitMs > 0);
  const isDeleting = set.metadata.deletionTimestamp !== undefined;
  return {
    actions: [
      ...claim.adopt.map((pod): StatefulSetAction => ({ type: 'adopt', pod })),
      ...claim.release.map((pod): StatefulSetAction => ({ type: 'release', pod })),
      ...(isDeleting ? [] : revisionActions(revision)),
      ...planVolumeClaims(observed, view.condemned),
      // What was created and is not seen yet could be created again.
      ...(isDeleting || pendingCreations > 0 ? [] : planPods(view, observed)),
      ...(isDeleting ? [] : surplusRevisions(revisions, inUse, set.spec.revisionHistoryLimit ?? 10).map((old): StatefulSetAction => ({ type: 'delete-revision', revision: old }))),
    ],
    status,
    ...(waits.length === 0 ? {} : { requeueAfterMs: Math.min(...waits) }),
  };
}

function viewOf({ set, claim, pendingDeletions, nowMs }: ObservedStatefulSet, current: k8s.ControllerRevision, update: k8s.ControllerRevision): View {
  const start = startOf(set);
  const ordinals = Array.from({ length: set.spec.replicas ?? 1 }, (_, index) => start + index);
  const numbered = [...claim.owned, ...claim.adopt].flatMap((pod) => {
    const ordinal = ordinalOf(set, pod);
    return ordinal === undefined ? [] : [{ ordinal, pod }];
  });
  const inRange = (ordinal: number): boolean => ordinal >= start && ordinal < start + ordinals.length;
  return {
    set,
    current,
    update,
    ordinals,
    pods: new Map(numbered.filter(({ ordinal }) => inRange(ordinal)).map(({ ordinal, pod }) => [ordinal, pod])),
    condemned: numbered.filter(({ ordinal }) => !inRange(ordinal)).toSorted((a, b) => b.ordinal - a.ordinal).map(({ pod }) => pod),
    isParallel: set.spec.podManagementPolicy === 'Parallel',
    isGoing: ({ metadata }) => metadata.deletionTimestamp !== undefined || pendingDeletions.has(metadata.uid),
    isAvailable: (pod) => availableInMs(pod, set.spec.minReadySeconds ?? 0, nowMs) === 0,
  };
}

function planPods(view: View, observed: ObservedStatefulSet): StatefulSetAction[] {
  const { actions, isSettled } = planReplicas(view, observed);
  if (!isSettled) return actions;
  const scaled = planCondemned(view);
  if (!scaled.isSettled) return [...actions, ...scaled.actions];
  return [...actions, ...scaled.actions, ...(actions.length > 0 ? [] : planUpdate(view))];
}

interface Step { readonly actions: StatefulSetAction[]; readonly isSettled: boolean }

/** From the lowest ordinal up: what ended is removed, what is missing is made; an ordered set waits at the first that is not available. */
function planReplicas(view: View, { volumeClaims }: ObservedStatefulSet): Step {
  const ended: Pod[] = [];
  const missing: number[] = [];
  for (const ordinal of view.ordinals) {
    const pod = view.pods.get(ordinal);
    const hasEnded = pod?.status?.phase === 'Failed' || pod?.status?.phase === 'Succeeded';
    if (pod !== undefined && hasEnded && !view.isGoing(pod)) ended.push(pod);
    else if (pod === undefined) missing.push(ordinal);
    else if (view.isParallel || (!view.isGoing(pod) && view.isAvailable(pod))) continue;
    if (!view.isParallel) return { actions: replicaActions(view, ended, missing, volumeClaims), isSettled: false };
    if (missing.length >= burst) break;
  }
  return { actions: replicaActions(view, ended, missing, volumeClaims), isSettled: true };
}

function replicaActions(view: View, ended: readonly Pod[], missing: readonly number[], volumeClaims: ObservedStatefulSet['volumeClaims']): StatefulSetAction[] {
  const { set } = view;
  // A claim that is on its way out has to be gone before its pod is made anew.
  const makeable = missing.filter((ordinal) => claimsFor(set, ordinal).every(({ metadata }) => volumeClaims.get(metadata?.name ?? '')?.metadata.deletionTimestamp === undefined));
  const claims = makeable.flatMap((ordinal) => claimsFor(set, ordinal)).filter(({ metadata }) => !volumeClaims.has(metadata?.name ?? ''));
  return [
    ...ended.map(({ metadata }): StatefulSetAction => ({ type: 'tell', eventType: 'Warning', reason: 'RecreatingFailedPod', message: `StatefulSet ${set.metadata.name} is recreating ended Pod ${metadata.name}` })),
    ...(ended.length === 0 ? [] : [{ type: 'delete' as const, pods: [...ended] }]),
    ...claims.map((claim): StatefulSetAction => ({ type: 'create-claim', claim })),
    ...(makeable.length === 0 ? [] : [{ type: 'create' as const, pods: makeable.map((ordinal) => statefulPod(set, revisionFor(view, ordinal), ordinal)) }]),
  ];
}

/** Below the partition pods are made as they were before the update. */
function revisionFor({ set, current, update }: View, ordinal: number): k8s.ControllerRevision {
  const { type, rollingUpdate } = set.spec.updateStrategy ?? {};
  return type !== 'OnDelete' && ordinal < startOf(set) + (rollingUpdate?.partition ?? 0) ? current : update;
}

/** From the highest ordinal down; an ordered set takes one, and waits until it is gone. */
function planCondemned({ condemned, isParallel, isGoing }: View): Step {
  const staying = condemned.filter((pod) => !isGoing(pod));
  if (isParallel) return { actions: staying.length === 0 ? [] : [{ type: 'delete', pods: staying }], isSettled: true };
  const [first] = condemned;
  if (first === undefined) return { actions: [], isSettled: true };
  return { actions: isGoing(first) ? [] : [{ type: 'delete', pods: [first] }], isSettled: false };
}

/** From the highest ordinal down to the partition: as many outdated pods go as may be unavailable; those that are unavailable anyway cost nothing. */
function planUpdate({ set, update, ordinals, pods, isGoing, isAvailable }: View): StatefulSetAction[] {
  const { type, rollingUpdate } = set.spec.updateStrategy ?? {};
  if (type === 'OnDelete') return [];
  const isMissing = (ordinal: number): boolean => {
    const pod = pods.get(ordinal);
    return pod === undefined || isGoing(pod) || !isAvailable(pod);
  };
  const maxUnavailable = Math.max(1, resolve(rollingUpdate?.maxUnavailable ?? 1, ordinals.length, Math.ceil));
  let budget = maxUnavailable - ordinals.filter(isMissing).length;
  const chosen: Pod[] = [];
  for (const ordinal of ordinals.toReversed()) {
    if (ordinal < startOf(set) + (rollingUpdate?.partition ?? 0)) break;
    const pod = pods.get(ordinal);
    if (pod === undefined || isGoing(pod) || pod.metadata.labels?.[revisionLabel] === update.metadata?.name) continue;
    if (!isMissing(ordinal)) {
      if (budget <= 0) continue;
      budget -= 1;
    }
    chosen.push(pod);
  }
  return chosen.length === 0 ? [] : [{ type: 'delete', pods: chosen }];
}

function planStatus(view: View, all: readonly Pod[]): k8s.StatefulSetStatus {
  const { set, current, update } = view;
  const pods = all.filter((pod) => ordinalOf(set, pod) !== undefined && pod.status?.phase !== 'Failed' && pod.status?.phase !== 'Succeeded');
  const staying = pods.filter((pod) => !view.isGoing(pod));
  const madeFrom = (revision: k8s.ControllerRevision): number => staying.filter(({ metadata }) => metadata.labels?.[revisionLabel] === revision.metadata?.name).length;
  const readyReplicas = pods.filter((pod) => isReady(pod) && !view.isGoing(pod)).length;
  const wanted = set.spec.replicas ?? 1;
  // Only a whole update makes the new revision the current one; with a partition that never comes.
  const isUpdated = set.spec.updateStrategy?.type !== 'OnDelete' && pods.length === wanted && madeFrom(update) === wanted && readyReplicas === wanted;
  const now = isUpdated ? update : current;
  return {
    observedGeneration: set.metadata.generation,
    replicas: pods.length,
    readyReplicas,
    availableReplicas: staying.filter((pod) => view.isAvailable(pod)).length,
    currentReplicas: madeFrom(now),
    updatedReplicas: madeFrom(update),
    currentRevision: now.metadata?.name ?? '',
    updateRevision: update.metadata?.name ?? '',
    collisionCount: 0,
  };
}
