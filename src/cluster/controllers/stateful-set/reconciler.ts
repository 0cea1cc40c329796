import { type k8s, keyOf, refOf, resources, selectorMatches } from '../../../api/mod.ts';
import { Controller, type Informer, type Plan, type Reconciler } from '../../../client/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import type { ControllerContext } from '../context.ts';
import { Expectations } from '../expectations.ts';
import { adopt, release } from '../ownership/adoption.ts';
import { controllerOf, planClaim } from '../ownership/claim.ts';
import { orphanIndex, orphansOf } from '../ownership/orphans.ts';
import { PodControl } from '../pods/pod-control.ts';
import { actOnRevision } from '../revisions/revision-control.ts';
import { writeStatus } from '../write-status.ts';
import { type ObservedStatefulSet, ordinalOf, type Pod, type StatefulSetAction } from './observed.ts';
import { planStatefulSet } from './plan.ts';

const kind = resources.statefulSets;

/** Keeps the numbered pods of StatefulSets, with their volumes. */
export function statefulSetController(context: ControllerContext): Controller<ObservedStatefulSet, StatefulSetAction, k8s.StatefulSetStatus> {
  const { informers } = context;
  const sets = informers.of(kind);
  const pods = orphanIndex(informers.of(resources.pods));
  const claims = informers.of(resources.persistentVolumeClaims);
  const revisions = informers.of(resources.controllerRevisions);
  const expectations = new Expectations(context.clock);
  pods.onChange(expectations.observe);
  const reconciler = new StatefulSetReconciler(context, { sets, pods, claims, revisions }, expectations);
  const ownersOf = (pod: Pod): string[] => {
    const controller = controllerOf(pod);
    if (controller !== undefined) return controller.kind === kind.kind ? [keyOf({ namespace: pod.metadata.namespace, name: controller.name })] : [];
    return sets.list(pod.metadata.namespace ?? '').filter(({ spec }) => spec !== undefined && selectorMatches(spec.selector, pod.metadata.labels)).map(keyOf);
  };
  const usersOf = ({ metadata: { name, namespace = '' } }: k8s.PersistentVolumeClaim & { metadata: { name: string; namespace?: string } }): string[] =>
    sets.list(namespace).filter(({ metadata, spec }) => spec?.volumeClaimTemplates?.some((template) => name.startsWith(`${template.metadata?.name ?? ''}-${metadata.name}-`)) === true).map(keyOf);
  const revisionOwner = (revision: k8s.ControllerRevision): string[] => {
    const controller = controllerOf(revision);
    return controller?.kind === kind.kind ? [keyOf({ namespace: revision.metadata?.namespace, name: controller.name })] : [];
  };
  return new Controller(reconciler, { workers: 4, ...context.controllerOptions }, context.log).watch(sets).watch(pods, ownersOf).watch(claims, usersOf).watch(revisions, revisionOwner);
}

interface Caches {
  readonly sets: Informer<k8s.StatefulSet>;
  readonly pods: Informer<k8s.Pod>;
  readonly claims: Informer<k8s.PersistentVolumeClaim>;
  readonly revisions: Informer<k8s.ControllerRevision>;
}

class StatefulSetReconciler implements Reconciler<ObservedStatefulSet, StatefulSetAction, k8s.StatefulSetStatus> {
  readonly name = 'statefulset';
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

  observe(key: string): ObservedStatefulSet | undefined {
    const { sets, pods, claims, revisions } = this.#caches;
    const found = sets.get(key);
    if (found?.spec === undefined) return undefined;
    const set = { ...found, spec: found.spec };
    const { uid, namespace = '' } = set.metadata;
    const orphans = orphansOf(pods, namespace).filter((pod) => ordinalOf(set, pod) !== undefined);
    const claim = planClaim(set, set.spec.selector, [...pods.ownedBy(uid), ...orphans]);
    return {
      set,
      claim,
      revisions: revisions.ownedBy(uid),
      volumeClaims: new Map((set.spec.volumeClaimTemplates ?? []).length === 0 ? [] : claims.list(namespace).map((one) => [one.metadata.name, one])),
      pendingCreations: this.#expectations.pendingCreations(uid),
      pendingDeletions: new Set(claim.owned.map((pod) => pod.metadata.uid).filter((pod) => this.#expectations.isDeletionPending(pod))),
      nowMs: this.#context.clock.now(),
    };
  }

  plan(observed: ObservedStatefulSet): Plan<StatefulSetAction, k8s.StatefulSetStatus> {
    return planStatefulSet(observed);
  }

  async act(action: StatefulSetAction, { set }: ObservedStatefulSet, signal: AbortSignal): Promise<void> {
    const { client, events } = this.#context;
    switch (action.type) {
      case 'adopt':
        return adopt(client, kind, set, resources.pods, action.pod, signal);
      case 'release':
        return release(client, set, resources.pods, action.pod, signal);
      case 'create-claim':
        try {
          await client.create(resources.persistentVolumeClaims, action.claim, signal);
        } catch (error) {
          if (isError(error, 'already-exists')) return;
          events.warning(set, 'FailedCreate', `create Claim ${action.claim.metadata?.name ?? ''} failed: ${String(error)}`);
          throw error;
        }
        return events.normal(set, 'SuccessfulCreate', `create Claim ${action.claim.metadata?.name ?? ''} in StatefulSet ${set.metadata.name} success`);
      case 'own-claim':
        await client.patch(resources.persistentVolumeClaims, refOf(keyOf(action.claim)), { type: 'merge', body: { metadata: { uid: action.claim.metadata.uid, resourceVersion: action.claim.metadata.resourceVersion, ownerReferences: action.owners } } }, signal);
        return;
      case 'create':
        return this.#control.createMany(set, action.pods, signal);
      case 'delete':
        return this.#control.deleteMany(set, action.pods, signal);
      case 'tell':
        return events[action.eventType === 'Normal' ? 'normal' : 'warning'](set, action.reason, action.message);
      default:
        return actOnRevision(client, action, signal);
    }
  }

  report(status: k8s.StatefulSetStatus, { set }: ObservedStatefulSet, signal: AbortSignal): Promise<void> {
    return writeStatus(this.#context.client, kind, set, status, signal);
  }
}
