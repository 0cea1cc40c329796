import { type k8s, keyOf, resources, selectorMatches, type Stored } from '../../../api/mod.ts';
import { Controller, type Plan, type Reconciler } from '../../../client/mod.ts';
import type { ControllerContext } from '../context.ts';
import { controllerOf } from '../ownership/claim.ts';
import { writeStatus } from '../write-status.ts';
import { type ObservedBudget, planBudget } from './plan.ts';

const kind = resources.podDisruptionBudgets;

/** Counts what PodDisruptionBudgets protect; the eviction subresource spends what is allowed. */
export function disruptionController(context: ControllerContext): Controller<ObservedBudget, never, k8s.PodDisruptionBudgetStatus> {
  const { informers } = context;
  const budgets = informers.of(kind);
  const pods = informers.of(resources.pods);
  const [replicaSets, deployments, statefulSets] = [informers.of(resources.replicaSets), informers.of(resources.deployments), informers.of(resources.statefulSets)];
  const isMeant = ({ spec }: k8s.PodDisruptionBudget, pod: Stored<k8s.Pod>): boolean => selectorMatches(spec?.selector, pod.metadata.labels);

  /** The workload that decides how many there are, and its size. */
  const workloadOf = (pod: Stored<k8s.Pod>): { uid: string; size: number } | undefined => {
    const namespace = pod.metadata.namespace;
    const owner = controllerOf(pod);
    const keyIn = (name: string): string => keyOf({ namespace, name });
    if (owner?.kind === 'StatefulSet') return sized(statefulSets.get(keyIn(owner.name)));
    if (owner?.kind !== 'ReplicaSet') return undefined;
    const replicaSet = replicaSets.get(keyIn(owner.name));
    const above = replicaSet === undefined ? undefined : controllerOf(replicaSet);
    return above?.kind === 'Deployment' ? sized(deployments.get(keyIn(above.name))) : sized(replicaSet);
  };

  const reconciler: Reconciler<ObservedBudget, never, k8s.PodDisruptionBudgetStatus> = {
    name: 'disruption',
    observe(key) {
      const budget = budgets.get(key);
      if (budget?.spec === undefined || budget.metadata.deletionTimestamp !== undefined) return undefined;
      const meant = pods.list(budget.metadata.namespace ?? '').filter((pod) => isMeant(budget, pod));
      const sizes = new Map<string, number>();
      let isKnown = true;
      for (const pod of meant) {
        const workload = workloadOf(pod);
        if (workload === undefined) isKnown = false;
        else sizes.set(workload.uid, workload.size);
      }
      return { budget: { ...budget, spec: budget.spec }, pods: meant, wanted: isKnown ? [...sizes.values()].reduce((sum, size) => sum + size, 0) : undefined, nowMs: context.clock.now() };
    },
    plan: (observed): Plan<never, k8s.PodDisruptionBudgetStatus> => planBudget(observed),
    act: () => Promise.resolve(),
    // Guarded: an eviction may have spent some of it meanwhile.
    report: (status, { budget }, signal) => writeStatus(context.client, kind, budget, status, signal, { isGuarded: true }),
  };
  const all = (): string[] => budgets.list().map(keyOf);
  return new Controller(reconciler, { ...context.controllerOptions }, context.log)
    .watch(budgets)
    .watch(pods, (pod) => budgets.list(pod.metadata.namespace ?? '').filter((budget) => isMeant(budget, pod)).map(keyOf))
    .watch(deployments, all, (change) => change.type !== 'modified' || change.previous.spec?.replicas !== change.object.spec?.replicas)
    .watch(statefulSets, all, (change) => change.type !== 'modified' || change.previous.spec?.replicas !== change.object.spec?.replicas)
    .reads(replicaSets);
}

function sized(workload: Stored<{ metadata?: k8s.ObjectMeta; spec?: { replicas?: number } }> | undefined): { uid: string; size: number } | undefined {
  return workload === undefined ? undefined : { uid: workload.metadata.uid, size: workload.spec?.replicas ?? 1 };
}
