import { type k8s, keyOf, resources, selectorMatches, type Stored } from '../../../api/mod.ts';
import { Controller, type Informer, type Plan, type Reconciler } from '../../../client/mod.ts';
import { formatError } from '../../../kernel/mod.ts';
import { withCondition, withoutCondition } from '../conditions.ts';
import type { ControllerContext } from '../context.ts';
import { Expectations } from '../expectations.ts';
import { adopt, release } from '../ownership/adoption.ts';
import { controllerOf, planClaim } from '../ownership/claim.ts';
import { orphanIndex, orphansOf } from '../ownership/orphans.ts';
import { PodControl, podFromTemplate } from '../pods/pod-control.ts';
import { writeStatus } from '../write-status.ts';
import { type ObservedReplicaSet, planReplicaSet, type ReplicaSetAction } from './plan.ts';

const kind = resources.replicaSets;

/** Keeps as many pods as each ReplicaSet asks for. */
export function replicaSetController(context: ControllerContext): Controller<ObservedReplicaSet, ReplicaSetAction, k8s.ReplicaSetStatus> {
  const replicaSets = context.informers.of(kind);
  const pods = orphanIndex(context.informers.of(resources.pods));
  const expectations = new Expectations(context.clock);
  pods.onChange(expectations.observe);
  const reconciler = new ReplicaSetReconciler(context, replicaSets, pods, expectations);
  return new Controller(reconciler, { workers: 4, ...context.controllerOptions }, context.log)
    .watch(replicaSets)
    .watch(pods, (pod) => ownersOf(pod, replicaSets));
}

/** The ReplicaSet that controls the pod or, for an orphan, all that may adopt it. */
function ownersOf(pod: Stored<k8s.Pod>, replicaSets: Informer<k8s.ReplicaSet>): string[] {
  const controller = controllerOf(pod);
  if (controller !== undefined) return controller.kind === kind.kind ? [keyOf({ namespace: pod.metadata.namespace, name: controller.name })] : [];
  const isWanted = ({ spec }: k8s.ReplicaSet): boolean => spec !== undefined && selectorMatches(spec.selector, pod.metadata.labels);
  return replicaSets.list(pod.metadata.namespace ?? '').filter(isWanted).map(keyOf);
}

class ReplicaSetReconciler implements Reconciler<ObservedReplicaSet, ReplicaSetAction, k8s.ReplicaSetStatus> {
  readonly name = 'replicaset';
  readonly #context: ControllerContext;
  readonly #replicaSets: Informer<k8s.ReplicaSet>;
  readonly #pods: Informer<k8s.Pod>;
  readonly #expectations: Expectations;
  readonly #control: PodControl;
  /** What the last `act` of a key failed with, so that the status can say it. */
  readonly #failures = new Map<string, { reason: string; error: unknown }>();

  constructor(context: ControllerContext, replicaSets: Informer<k8s.ReplicaSet>, pods: Informer<k8s.Pod>, expectations: Expectations) {
    this.#context = context;
    this.#replicaSets = replicaSets;
    this.#pods = pods;
    this.#expectations = expectations;
    this.#control = new PodControl(context.client, context.events, expectations);
  }

  observe(key: string): ObservedReplicaSet | undefined {
    this.#failures.delete(key);
    const replicaSet = this.#replicaSets.get(key);
    if (replicaSet?.spec === undefined) return undefined;
    const { uid, namespace = '' } = replicaSet.metadata;
    const claim = planClaim(replicaSet, replicaSet.spec.selector, [...this.#pods.ownedBy(uid), ...orphansOf(this.#pods, namespace)]);
    const pendingDeletions = new Set(claim.owned.map((pod) => pod.metadata.uid).filter((pod) => this.#expectations.isDeletionPending(pod)));
    return { replicaSet: { ...replicaSet, spec: replicaSet.spec }, claim, pendingCreations: this.#expectations.pendingCreations(uid), pendingDeletions, nowMs: this.#context.clock.now() };
  }

  plan(observed: ObservedReplicaSet): Plan<ReplicaSetAction, k8s.ReplicaSetStatus> {
    return planReplicaSet(observed);
  }

  async act(action: ReplicaSetAction, { replicaSet }: ObservedReplicaSet, signal: AbortSignal): Promise<void> {
    switch (action.type) {
      case 'adopt':
        return adopt(this.#context.client, kind, replicaSet, resources.pods, action.pod, signal);
      case 'release':
        return release(this.#context.client, replicaSet, resources.pods, action.pod, signal);
      case 'create': {
        const pods = Array.from({ length: action.count }, () => podFromTemplate(kind, replicaSet, replicaSet.spec.template));
        return this.#keepFailure(replicaSet, 'FailedCreate', this.#control.createMany(replicaSet, pods, signal));
      }
      case 'delete':
        return this.#keepFailure(replicaSet, 'FailedDelete', this.#control.deleteMany(replicaSet, action.pods, signal));
    }
  }

  /** Throws what `act` kept once the status says it, so that the controller tries again with back-off. */
  async report(planned: k8s.ReplicaSetStatus, { replicaSet, nowMs }: ObservedReplicaSet, signal: AbortSignal): Promise<void> {
    const failure = this.#failures.get(keyOf(replicaSet));
    const conditions =
      failure === undefined
        ? withoutCondition(planned.conditions, 'ReplicaFailure')
        : withCondition(planned.conditions, { type: 'ReplicaFailure', status: 'True', reason: failure.reason, message: formatError(failure.error) }, nowMs);
    await writeStatus(this.#context.client, kind, replicaSet, { ...planned, conditions: conditions.length === 0 ? undefined : conditions }, signal);
    if (failure !== undefined) throw failure.error;
  }

  async #keepFailure(replicaSet: Stored<k8s.ReplicaSet>, reason: string, work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#failures.set(keyOf(replicaSet), { reason, error });
    }
  }
}
