import { isDeepStrictEqual } from 'node:util';
import { type k8s, keyOf, resources, selectorMatches, type Stored } from '../../../api/mod.ts';
import { type Change, Controller, type Informer, type Plan, type Reconciler } from '../../../client/mod.ts';
import type { ControllerContext } from '../context.ts';
import { Expectations } from '../expectations.ts';
import { adopt, release } from '../ownership/adoption.ts';
import { controllerOf, planClaim } from '../ownership/claim.ts';
import { orphanIndex, orphansOf } from '../ownership/orphans.ts';
import { PodControl, podFromTemplate } from '../pods/pod-control.ts';
import { actOnRevision } from '../revisions/revision-control.ts';
import { revisionLabel } from '../revisions/revisions.ts';
import { writeStatus } from '../write-status.ts';
import { affinityTo, daemonTolerations } from './node-fit.ts';
import type { DaemonSet, DaemonSetAction, ObservedDaemonSet, Pod } from './observed.ts';
import { planDaemonSet } from './plan.ts';

const kind = resources.daemonSets;

/** Keeps one pod of each DaemonSet on every node it belongs on. */
export function daemonSetController(context: ControllerContext): Controller<ObservedDaemonSet, DaemonSetAction, k8s.DaemonSetStatus> {
  const { informers } = context;
  const sets = informers.of(kind);
  const pods = orphanIndex(informers.of(resources.pods));
  const nodes = informers.of(resources.nodes);
  const revisions = informers.of(resources.controllerRevisions);
  const expectations = new Expectations(context.clock);
  pods.onChange(expectations.observe);
  const reconciler = new DaemonSetReconciler(context, { sets, pods, nodes, revisions }, expectations);
  const ownersOf = (object: Stored<k8s.Pod> | Stored<k8s.ControllerRevision>): string[] => {
    const controller = controllerOf(object);
    if (controller !== undefined) return controller.kind === kind.kind ? [keyOf({ namespace: object.metadata.namespace, name: controller.name })] : [];
    return sets.list(object.metadata.namespace ?? '').filter(({ spec }) => spec !== undefined && selectorMatches(spec.selector, object.metadata.labels)).map(keyOf);
  };
  return new Controller(reconciler, { workers: 2, ...context.controllerOptions }, context.log)
    .watch(sets)
    .watch(pods, ownersOf)
    .watch(revisions, ownersOf)
    .watch(nodes, () => sets.list().map(keyOf), changesPlaces);
}

/** Heartbeats do not; labels and taints do. */
function changesPlaces(change: Change<k8s.Node>): boolean {
  if (change.type !== 'modified') return true;
  const relevant = ({ metadata, spec }: Stored<k8s.Node>): unknown => ({ labels: metadata.labels, taints: spec?.taints });
  return !isDeepStrictEqual(relevant(change.previous), relevant(change.object));
}

interface Caches {
  readonly sets: Informer<k8s.DaemonSet>;
  readonly pods: Informer<k8s.Pod>;
  readonly nodes: Informer<k8s.Node>;
  readonly revisions: Informer<k8s.ControllerRevision>;
}

class DaemonSetReconciler implements Reconciler<ObservedDaemonSet, DaemonSetAction, k8s.DaemonSetStatus> {
  readonly name = 'daemonset';
  readonly #context: ControllerContext;
  readonly #caches: Caches;
  readonly #expectations: Expectations;
  readonly #control: PodControl;

  constructor(context: ControllerContext, caches: Caches, expectations: Expectations) {
    this.#context = context;
    this.#caches = caches;
    this.#expectations = expectations;
    this.#control = new PodControl(context.client, context.events, expectations);
  }

  observe(key: string): ObservedDaemonSet | undefined {
    const { sets, pods, nodes, revisions } = this.#caches;
    const found = sets.get(key);
    if (found?.spec === undefined) return undefined;
    const set = { ...found, spec: found.spec };
    const { uid, namespace = '' } = set.metadata;
    const claim = planClaim(set, set.spec.selector, [...pods.ownedBy(uid), ...orphansOf(pods, namespace)]);
    const pendingDeletions = new Set(claim.owned.map((pod) => pod.metadata.uid).filter((pod) => this.#expectations.isDeletionPending(pod)));
    return { set, nodes: nodes.list(), claim, revisions: revisions.ownedBy(uid), pendingCreations: this.#expectations.pendingCreations(uid), pendingDeletions, nowMs: this.#context.clock.now() };
  }

  plan(observed: ObservedDaemonSet): Plan<DaemonSetAction, k8s.DaemonSetStatus> {
    return planDaemonSet(observed);
  }

  async act(action: DaemonSetAction, { set }: ObservedDaemonSet, signal: AbortSignal): Promise<void> {
    const { client, events } = this.#context;
    switch (action.type) {
      case 'adopt':
        return adopt(client, kind, set, resources.pods, action.pod, signal);
      case 'release':
        return release(client, set, resources.pods, action.pod, signal);
      case 'create':
        return this.#control.createMany(set, action.nodes.map((node) => daemonPod(set, node, action.hash)), signal);
      case 'delete':
        return this.#control.deleteMany(set, action.pods, signal);
      case 'tell':
        return events.warning(set, action.reason, action.message);
      default:
        return actOnRevision(client, action, signal);
    }
  }

  report(status: k8s.DaemonSetStatus, { set }: ObservedDaemonSet, signal: AbortSignal): Promise<void> {
    return writeStatus(this.#context.client, kind, set, status, signal);
  }
}

/** A pod for one node: the scheduler puts it there, and there only. */
function daemonPod(set: DaemonSet, node: string, hash: string): k8s.Pod {
  const pod = podFromTemplate(kind, set, set.spec.template);
  const spec: Pod['spec'] = pod.spec ?? { containers: [] };
  return {
    ...pod,
    metadata: { ...pod.metadata, labels: { ...pod.metadata?.labels, [revisionLabel]: hash } },
    spec: { ...spec, affinity: affinityTo(node, spec.affinity), tolerations: [...(spec.tolerations ?? []), ...daemonTolerations(spec)] },
  };
}
