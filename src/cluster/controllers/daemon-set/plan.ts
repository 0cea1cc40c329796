import { type k8s, resources } from '../../../api/mod.ts';
import type { Plan } from '../../../client/mod.ts';
import { availableInMs, isFinished, isReady } from '../pods/readiness.ts';
import { revisionActions } from '../revisions/revision-control.ts';
import { hashOf, planRevision, revisionLabel, surplusRevisions } from '../revisions/revisions.ts';
import { fitOf, nodeOfPod } from './node-fit.ts';
import type { DaemonSetAction, ObservedDaemonSet, OnNode, Pod } from './observed.ts';
import { limitsOf, planRollout } from './rollout.ts';

/** One step of a DaemonSet: one pod on every node that it belongs on, and updates node by node. */
export function planDaemonSet(observed: ObservedDaemonSet): Plan<DaemonSetAction, k8s.DaemonSetStatus> {
  const { set, claim, revisions, nowMs } = observed;
  const revision = planRevision(resources.daemonSets, set, revisions);
  const hash = hashOf(revision.update);
  const pods = [...claim.owned, ...claim.adopt];
  const places = placesOf(observed, pods);
  const minReadySeconds = set.spec.minReadySeconds ?? 0;
  const isAvailable = (pod: Pod): boolean => availableInMs(pod, minReadySeconds, nowMs) === 0;
  const waits = pods.flatMap((pod) => availableInMs(pod, minReadySeconds, nowMs) ?? []).filter((waitMs) => waitMs > 0);
  const isDeleting = set.metadata.deletionTimestamp !== undefined;
  const inUse = new Set([revision.update.metadata.name, ...revisions.filter((one) => pods.some(({ metadata }) => metadata.labels?.[revisionLabel] === hashOf(one))).map(({ metadata }) => metadata.name)]);
  return {
    actions: [
      ...claim.adopt.map((pod): DaemonSetAction => ({ type: 'adopt', pod })),
      ...claim.release.map((pod): DaemonSetAction => ({ type: 'release', pod })),
      ...(isDeleting ? [] : revisionActions(revision)),
      ...(isDeleting || observed.pendingCreations > 0 ? [] : planPods(observed, places, hash, isAvailable)),
      ...(isDeleting ? [] : surplusRevisions(revisions, inUse, set.spec.revisionHistoryLimit ?? 10).map((old): DaemonSetAction => ({ type: 'delete-revision', revision: old }))),
    ],
    status: planStatus(observed, places, hash, isAvailable),
    ...(waits.length === 0 ? {} : { requeueAfterMs: Math.min(...waits) }),
  };
}

function placesOf({ set, nodes, pendingDeletions }: ObservedDaemonSet, pods: readonly Pod[]): OnNode[] {
  const byNode = Map.groupBy(pods, (pod) => nodeOfPod(pod) ?? '');
  const isGoing = ({ metadata }: Pod): boolean => metadata.deletionTimestamp !== undefined || pendingDeletions.has(metadata.uid);
  return nodes.map((node) => {
    const here = (byNode.get(node.metadata.name) ?? []).toSorted((a, b) => (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? -1 : 1));
    return { node: node.metadata.name, ...fitOf(set.spec.template, node), pods: here.filter((pod) => !isGoing(pod)), leaving: here.filter(isGoing) };
  });
}

function planPods({ set }: ObservedDaemonSet, places: readonly OnNode[], hash: string, isAvailable: (pod: Pod) => boolean): DaemonSetAction[] {
  const isRolling = set.spec.updateStrategy?.type !== 'OnDelete';
  const allowsTwo = isRolling && limitsOf(set, places.length).maxSurge > 0;
  const createOn = new Set<string>();
  const remove = new Set<Pod>();
  const ended: Pod[] = [];
  for (const place of places) {
    const finished = place.pods.filter(isFinished);
    const running = place.pods.filter((pod) => !isFinished(pod));
    if (!place.mayStay) place.pods.forEach((pod) => remove.add(pod));
    else {
      finished.forEach((pod) => remove.add(pod));
      ended.push(...finished);
      for (const pod of surplus(running, hash, allowsTwo)) remove.add(pod);
      // A pod on its way out still holds the node's ports and paths: its successor comes when it is gone.
      if (place.shouldRun && place.pods.length === 0 && (place.leaving.length === 0 || allowsTwo)) createOn.add(place.node);
    }
  }
  if (isRolling) {
    const step = planRollout(set, places.map((place) => ({ ...place, pods: place.pods.filter((pod) => !remove.has(pod)) })), hash, isAvailable);
    for (const node of step.createOn) createOn.add(node);
    for (const pod of step.remove) remove.add(pod);
  }
  return [
    ...ended.map(({ metadata }): DaemonSetAction => ({ type: 'tell', reason: 'FailedDaemonPod', message: `Found failed daemon pod ${metadata.namespace ?? ''}/${metadata.name}, will try to kill it` })),
    ...(remove.size === 0 ? [] : [{ type: 'delete' as const, pods: [...remove] }]),
    ...(createOn.size === 0 ? [] : [{ type: 'create' as const, nodes: [...createOn], hash }]),
  ];
}

/** More than one pod on a node: the oldest stays, during an update with surge the oldest of each version. */
function surplus(running: readonly Pod[], hash: string, allowsTwo: boolean): Pod[] {
  if (running.length < 2) return [];
  const isNew = ({ metadata }: Pod): boolean => metadata.labels?.[revisionLabel] === hash;
  if (!allowsTwo) return running.slice(1);
  return [...running.filter(isNew).slice(1), ...running.filter((pod) => !isNew(pod)).slice(1)];
}

function planStatus({ set }: ObservedDaemonSet, places: readonly OnNode[], hash: string, isAvailable: (pod: Pod) => boolean): k8s.DaemonSetStatus {
  const wanted = places.filter(({ shouldRun }) => shouldRun);
  // The oldest stands for the node.
  const first = ({ pods, leaving }: OnNode): Pod | undefined => pods[0] ?? leaving[0];
  const count = (accept: (pod: Pod, place: OnNode) => boolean): number => wanted.filter((place) => [first(place)].some((pod) => pod !== undefined && accept(pod, place))).length;
  const numberAvailable = wanted.filter(({ pods }) => pods.some((pod) => isReady(pod) && isAvailable(pod))).length;
  return {
    observedGeneration: set.metadata.generation,
    desiredNumberScheduled: wanted.length,
    currentNumberScheduled: count(() => true),
    numberMisscheduled: places.filter((place) => !place.shouldRun && place.pods.length > 0).length,
    numberReady: wanted.filter(({ pods }) => pods.some(isReady)).length,
    numberAvailable: numberAvailable === 0 ? undefined : numberAvailable,
    numberUnavailable: wanted.length - numberAvailable === 0 ? undefined : wanted.length - numberAvailable,
    updatedNumberScheduled: wanted.filter(({ pods }) => pods.some(({ metadata }) => metadata.labels?.[revisionLabel] === hash)).length || undefined,
  };
}
