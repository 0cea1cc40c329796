import { type k8s, keyOf, refOf, resources, type Stored } from '../../../api/mod.ts';
import { Controller, type Informer, type Plan, type Reconciler } from '../../../client/mod.ts';
import type { ControllerContext } from '../context.ts';
import { isFinished } from '../pods/readiness.ts';
import { writeStatus } from '../write-status.ts';
import { bindingAnnotations, planVolumeClaim } from './claim-plan.ts';
import { type ClaimAction, claimProtection, type ObservedClaim, selectedNode } from './observed.ts';

const kind = resources.persistentVolumeClaims;
const byClaim = 'by-volume-claim';

/** Keys of the claims a pod uses. */
function claimsOf({ metadata, spec }: Stored<k8s.Pod>): string[] {
  return (spec?.volumes ?? []).flatMap(({ persistentVolumeClaim }) => (persistentVolumeClaim === undefined ? [] : [keyOf({ namespace: metadata.namespace, name: persistentVolumeClaim.claimName })]));
}

/** Finds volumes for claims, and keeps claims that are in use. */
export function volumeClaimController(context: ControllerContext): Controller<ObservedClaim, ClaimAction, k8s.PersistentVolumeClaimStatus> {
  const { informers } = context;
  const caches = {
    claims: informers.of(kind),
    volumes: informers.of(resources.persistentVolumes),
    classes: informers.of(resources.storageClasses),
    nodes: informers.of(resources.nodes),
    pods: informers.of(resources.pods).defineIndex(byClaim, claimsOf),
  };
  const pending = (): string[] => caches.claims.list().filter(({ status }) => status?.phase !== 'Bound').map(keyOf);
  const ofVolume = ({ spec }: Stored<k8s.PersistentVolume>): string[] => (spec?.claimRef === undefined ? pending() : [keyOf({ namespace: spec.claimRef.namespace, name: spec.claimRef.name ?? '' })]);
  return new Controller(new ClaimReconciler(context, caches), { ...context.controllerOptions }, context.log)
    .watch(caches.claims)
    .watch(caches.volumes, ofVolume)
    .watch(caches.classes, pending)
    .watch(caches.pods, (pod) => claimsOf(pod).filter((key) => caches.claims.get(key)?.metadata.deletionTimestamp !== undefined))
    .reads(caches.nodes);
}

interface Caches {
  readonly claims: Informer<k8s.PersistentVolumeClaim>;
  readonly volumes: Informer<k8s.PersistentVolume>;
  readonly classes: Informer<k8s.StorageClass>;
  readonly nodes: Informer<k8s.Node>;
  readonly pods: Informer<k8s.Pod>;
}

class ClaimReconciler implements Reconciler<ObservedClaim, ClaimAction, k8s.PersistentVolumeClaimStatus> {
  readonly name = 'persistentvolumeclaim';
  readonly #context: ControllerContext;
  readonly #caches: Caches;

  constructor(context: ControllerContext, caches: Caches) {
    this.#context = context;
    this.#caches = caches;
  }

  observe(key: string): ObservedClaim | undefined {
    const { claims, volumes, classes, nodes, pods } = this.#caches;
    const claim = claims.get(key);
    if (claim?.spec === undefined) return undefined;
    const isReady = ({ status, spec }: k8s.Node): boolean => spec?.unschedulable !== true && status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;
    return {
      claim: { ...claim, spec: claim.spec },
      volumes: volumes.list().flatMap((volume) => (volume.spec === undefined ? [] : [{ ...volume, spec: volume.spec }])),
      storageClass: claim.spec.storageClassName === undefined ? undefined : classes.get(claim.spec.storageClassName),
      node: nodes.get(claim.metadata.annotations?.[selectedNode] ?? ''),
      anyNode: nodes.list().find(isReady)?.metadata.name,
      isUsed: pods.indexed(byClaim, key).some((pod) => !isFinished(pod)),
    };
  }

  plan(observed: ObservedClaim): Plan<ClaimAction, k8s.PersistentVolumeClaimStatus> {
    return planVolumeClaim(observed);
  }

  async act(action: ClaimAction, { claim }: ObservedClaim, signal: AbortSignal): Promise<void> {
    const { client, events } = this.#context;
    const { uid, name, namespace, resourceVersion } = claim.metadata;
    const patch = (body: { metadata: object; spec?: object }): Promise<unknown> => client.patch(kind, refOf(keyOf(claim)), { type: 'merge', body: { ...body, metadata: { uid, ...body.metadata } } }, signal);
    switch (action.type) {
      case 'unprotect':
        await patch({ metadata: { resourceVersion, finalizers: (claim.metadata.finalizers ?? []).filter((one) => one !== claimProtection) } });
        return;
      case 'reserve': {
        const { metadata } = action.volume;
        const claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid, resourceVersion };
        await client.patch(resources.persistentVolumes, { name: metadata.name }, { type: 'merge', body: { metadata: { uid: metadata.uid, resourceVersion: metadata.resourceVersion }, spec: { claimRef } } }, signal);
        return;
      }
      case 'bind':
        await patch({ metadata: { annotations: bindingAnnotations(action.byController) }, spec: { volumeName: action.volumeName } });
        return;
      case 'annotate':
        await patch({ metadata: { annotations: action.annotations } });
        return;
      case 'tell':
        return events[['WaitForFirstConsumer', 'ExternalProvisioning', 'FailedBinding'].includes(action.reason) ? 'normal' : 'warning'](claim, action.reason, action.message);
    }
  }

  report(status: k8s.PersistentVolumeClaimStatus, { claim }: ObservedClaim, signal: AbortSignal): Promise<void> {
    return writeStatus(this.#context.client, kind, claim, status, signal);
  }
}
