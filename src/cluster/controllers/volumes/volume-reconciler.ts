import { type k8s, keyOf, resources, type Stored } from '../../../api/mod.ts';
import { Controller, type Informer, type Plan, type Reconciler } from '../../../client/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import { toTimestamp } from '../conditions.ts';
import type { ControllerContext } from '../context.ts';
import { writeStatus } from '../write-status.ts';
import { type ObservedVolume, type VolumeAction, volumeProtection } from './observed.ts';
import { planVolume } from './volume-plan.ts';

const kind = resources.persistentVolumes;

/** Follows what becomes of volumes when claims come and go. */
export function volumeController(context: ControllerContext): Controller<ObservedVolume, VolumeAction, k8s.PersistentVolumeStatus> {
  const volumes = context.informers.of(kind);
  const claims = context.informers.of(resources.persistentVolumeClaims);
  const ofClaim = (claim: Stored<k8s.PersistentVolumeClaim>): string[] =>
    volumes.list().filter(({ metadata, spec }) => metadata.name === claim.spec?.volumeName || (spec?.claimRef?.name === claim.metadata.name && spec.claimRef.namespace === claim.metadata.namespace)).map(keyOf);
  return new Controller(new VolumeReconciler(context, volumes, claims), { ...context.controllerOptions }, context.log).watch(volumes).watch(claims, ofClaim);
}

class VolumeReconciler implements Reconciler<ObservedVolume, VolumeAction, k8s.PersistentVolumeStatus> {
  readonly name = 'persistentvolume';
  readonly #context: ControllerContext;
  readonly #volumes: Informer<k8s.PersistentVolume>;
  readonly #claims: Informer<k8s.PersistentVolumeClaim>;

  constructor(context: ControllerContext, volumes: Informer<k8s.PersistentVolume>, claims: Informer<k8s.PersistentVolumeClaim>) {
    this.#context = context;
    this.#volumes = volumes;
    this.#claims = claims;
  }

  observe(key: string): ObservedVolume | undefined {
    const volume = this.#volumes.get(key);
    if (volume?.spec === undefined) return undefined;
    const { claimRef } = volume.spec;
    const claim = claimRef === undefined ? undefined : this.#claims.get(keyOf({ namespace: claimRef.namespace, name: claimRef.name ?? '' }));
    return { volume: { ...volume, spec: volume.spec }, claim: claim?.spec === undefined ? undefined : { ...claim, spec: claim.spec } };
  }

  plan(observed: ObservedVolume): Plan<VolumeAction, k8s.PersistentVolumeStatus> {
    return planVolume(observed);
  }

  async act(action: VolumeAction, { volume }: ObservedVolume, signal: AbortSignal): Promise<void> {
    const { client } = this.#context;
    const { name, uid, resourceVersion, finalizers = [] } = volume.metadata;
    if (action.type === 'unprotect') {
      await client.patch(kind, { name }, { type: 'merge', body: { metadata: { uid, resourceVersion, finalizers: finalizers.filter((one) => one !== volumeProtection) } } }, signal);
      return;
    }
    if (await this.#isClaimAlive(volume.spec.claimRef, signal)) return;
    const status = { phase: 'Released', lastPhaseTransitionTime: toTimestamp(this.#context.clock.now()) };
    await client.patch(kind, { name }, { type: 'merge', subresource: 'status', body: { metadata: { uid, resourceVersion }, status } }, signal);
  }

  report(status: k8s.PersistentVolumeStatus, { volume }: ObservedVolume, signal: AbortSignal): Promise<void> {
    const isSame = status.phase === volume.status?.phase;
    return writeStatus(this.#context.client, kind, volume, isSame ? status : { ...status, lastPhaseTransitionTime: toTimestamp(this.#context.clock.now()) }, signal);
  }

  async #isClaimAlive(claimRef: k8s.ObjectReference | undefined, signal: AbortSignal): Promise<boolean> {
    try {
      const claim = await this.#context.client.get(resources.persistentVolumeClaims, { namespace: claimRef?.namespace, name: claimRef?.name ?? '' }, signal);
      return claim.metadata.uid === claimRef?.uid;
    } catch (error) {
      if (isError(error, 'not-found')) return false;
      throw error;
    }
  }
}
