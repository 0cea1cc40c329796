import { rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type k8s, keyOf, resources, type Stored } from '../../../api/mod.ts';
import { Controller, type EventRecorder, type Informer, type Informers, type KubeClient, type Plan, type Reconciler } from '../../../client/mod.ts';
import { errnoOf, formatError, isError, type Logger } from '../../../kernel/mod.ts';
import { makeVolumeFolder } from './claim-volumes.ts';

/** The provisioner of the class that is the default. */
export const localProvisioner = 'gantry.dev/local';
const selectedNode = 'volume.kubernetes.io/selected-node';
const provisionedBy = 'pv.kubernetes.io/provisioned-by';

export interface LocalProvisionerOptions {
  readonly nodeName: string;
  /** On disk, one folder for each volume. What is in it belongs to users and outlives pods and agents. */
  readonly folder: string;
}

interface Parts { readonly client: KubeClient; readonly informers: Informers; readonly events: EventRecorder; readonly log: Logger }

type Claim = Stored<k8s.PersistentVolumeClaim>;
type Volume = Stored<k8s.PersistentVolume>;
type Action = { type: 'provision'; claim: Claim; storageClass: Stored<k8s.StorageClass> } | { type: 'remove'; volume: Volume };

/** What a key of this controller stands for: a claim that waits for this node, or a volume that is given up. */
interface Observed { readonly claim: Claim | undefined; readonly storageClass: Stored<k8s.StorageClass> | undefined; readonly volume: Volume | undefined }

/** Makes and removes the folders behind claims of class `gantry.dev/local`. Keys are `claim:namespace/name` and `volume:name`. */
export function localProvisionerController(options: LocalProvisionerOptions, parts: Parts): Controller<Observed, Action, never> {
  const claims = parts.informers.of(resources.persistentVolumeClaims);
  const volumes = parts.informers.of(resources.persistentVolumes);
  const classes = parts.informers.of(resources.storageClasses);
  return new Controller(new LocalProvisioner(options, parts, claims, volumes, classes), {}, parts.log)
    .watch(claims, (claim) => [`claim:${keyOf(claim)}`])
    .watch(volumes, ({ metadata, spec }) => [`volume:${metadata.name}`, ...(spec?.claimRef === undefined ? [] : [`claim:${keyOf({ namespace: spec.claimRef.namespace, name: spec.claimRef.name ?? '' })}`])])
    .watch(classes, () => claims.list().map((claim) => `claim:${keyOf(claim)}`));
}

class LocalProvisioner implements Reconciler<Observed, Action, never> {
  readonly name = 'local volumes';
  readonly #options: LocalProvisionerOptions;
  readonly #parts: Parts;
  readonly #claims: Informer<k8s.PersistentVolumeClaim>;
  readonly #volumes: Informer<k8s.PersistentVolume>;
  readonly #classes: Informer<k8s.StorageClass>;

  constructor(options: LocalProvisionerOptions, parts: Parts, claims: Informer<k8s.PersistentVolumeClaim>, volumes: Informer<k8s.PersistentVolume>, classes: Informer<k8s.StorageClass>) {
    this.#options = options;
    this.#parts = parts;
    this.#claims = claims;
    this.#volumes = volumes;
    this.#classes = classes;
  }

  observe(key: string): Observed {
    const colon = key.indexOf(':');
    const name = key.slice(colon + 1);
    if (key.startsWith('volume:')) return { claim: undefined, storageClass: undefined, volume: this.#volumes.get(name) };
    const claim = this.#claims.get(name);
    return { claim, storageClass: this.#classes.get(claim?.spec?.storageClassName ?? ''), volume: claim === undefined ? undefined : this.#volumes.get(volumeName(claim)) };
  }

  plan({ claim, storageClass, volume }: Observed): Plan<Action, never> {
    if (claim !== undefined) {
      const isOurs = storageClass?.provisioner === localProvisioner && claim.metadata.annotations?.[selectedNode] === this.#options.nodeName;
      const isOpen = claim.metadata.deletionTimestamp === undefined && (claim.spec?.volumeName ?? '') === '' && volume === undefined;
      return { actions: isOurs && isOpen ? [{ type: 'provision', claim, storageClass }] : [] };
    }
    const isGivenUp = volume?.status?.phase === 'Released' && volume.spec?.persistentVolumeReclaimPolicy === 'Delete' && volume.metadata.deletionTimestamp === undefined;
    return { actions: volume !== undefined && isGivenUp && this.#isMine(volume) ? [{ type: 'remove', volume }] : [] };
  }

  async act(action: Action, _observed: Observed, signal: AbortSignal): Promise<void> {
    if (action.type === 'remove') return this.#remove(action.volume, signal);
    try {
      await this.#provision(action.claim, action.storageClass, signal);
    } catch (error) {
      if (!signal.aborted) this.#parts.events.warning(action.claim, 'ProvisioningFailed', `failed to provision volume: ${formatError(error)}`);
      throw error;
    }
  }

  async #provision(claim: Claim, { metadata: { name: storageClassName }, reclaimPolicy }: Stored<k8s.StorageClass>, signal: AbortSignal): Promise<void> {
    const { nodeName, folder } = this.#options;
    const name = volumeName(claim);
    const path = await makeVolumeFolder(folder, name);
    const { namespace, uid, resourceVersion } = claim.metadata;
    const volume: k8s.PersistentVolume = {
      metadata: { name, annotations: { [provisionedBy]: localProvisioner } },
      spec: {
        accessModes: claim.spec?.accessModes,
        capacity: { storage: claim.spec?.resources?.requests?.['storage'] ?? '0' },
        claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name: claim.metadata.name, uid, resourceVersion },
        local: { path },
        nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [nodeName] }] }] } },
        persistentVolumeReclaimPolicy: reclaimPolicy ?? 'Delete',
        storageClassName,
        volumeMode: 'Filesystem',
      },
    };
    try {
      await this.#parts.client.create(resources.persistentVolumes, volume, signal);
      this.#parts.events.normal(claim, 'ProvisioningSucceeded', `Successfully provisioned volume ${name}`);
    } catch (error) {
      if (isError(error, 'already-exists')) return;
      // A folder that nothing names yet is empty; one with data in it is never removed here.
      await rmdir(path).catch(() => undefined);
      throw error;
    }
  }

  /** The claim is asked for once more: data goes only when nobody can miss it. */
  async #remove(volume: Volume, signal: AbortSignal): Promise<void> {
    const { client } = this.#parts;
    const claimRef = volume.spec?.claimRef;
    const claim = await client.get(resources.persistentVolumeClaims, { namespace: claimRef?.namespace, name: claimRef?.name ?? '' }, signal).catch((error: unknown) => {
      if (isError(error, 'not-found')) return undefined;
      throw error;
    });
    if (claim?.metadata.uid === claimRef?.uid) return;
    const path = join(this.#options.folder, volume.metadata.name);
    // Renamed first: a half-removed volume is never mounted again.
    const trash = `${path}.removed`;
    await rename(path, trash).catch((error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error;
    });
    await rm(trash, { recursive: true, force: true });
    await client.delete(resources.persistentVolumes, { name: volume.metadata.name }, { preconditions: { uid: volume.metadata.uid } }, signal);
  }

  /** Only what was made here, in the place where it would be made. */
  #isMine({ metadata, spec }: Volume): boolean {
    return metadata.annotations?.[provisionedBy] === localProvisioner && spec?.local?.path === join(this.#options.folder, metadata.name) && metadata.name.startsWith('pvc-');
  }
}

function volumeName({ metadata }: Claim): string {
  return `pvc-${metadata.uid}`;
}
