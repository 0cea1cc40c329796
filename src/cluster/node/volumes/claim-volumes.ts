import { chmod, chown, lstat, mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type k8s, keyOf, nodeSelectorMatches, resources } from '../../../api/mod.ts';
import type { Informer, Informers } from '../../../client/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import { prepareHostPath } from './host-path.ts';

/** A claim's volume on this node. */
export interface ClaimVolume { readonly path: string }

/** Finds what a pod's claims are bound to. Everything comes from caches: a change of a claim or volume wakes the pods that use it. */
export class ClaimVolumes {
  readonly claims: Informer<k8s.PersistentVolumeClaim>;
  readonly #volumes: Informer<k8s.PersistentVolume>;
  readonly #nodes: Informer<k8s.Node>;
  readonly #nodeName: string;

  constructor(informers: Informers, nodeName: string) {
    this.claims = informers.of(resources.persistentVolumeClaims);
    this.#volumes = informers.of(resources.persistentVolumes);
    this.#nodes = informers.of(resources.nodes, { fieldSelector: `metadata.name=${nodeName}` });
    this.#nodeName = nodeName;
  }

  async ready(signal: AbortSignal): Promise<void> {
    await Promise.all([this.claims.ready(signal), this.#volumes.ready(signal)]);
  }

  /** The volume of a claim, checked and owned by the pod's group. `unavailable` while it is not bound, `invalid` when it is not here. */
  async prepare(pod: k8s.Pod, claimName: string): Promise<ClaimVolume> {
    const namespace = pod.metadata?.namespace ?? 'default';
    const claim = this.claims.get(keyOf({ namespace, name: claimName }));
    if (claim === undefined) throw new GantryError('not-found', `persistentvolumeclaim "${claimName}" not found`);
    const volume = claim.status?.phase === 'Bound' ? this.#volumes.get(claim.spec?.volumeName ?? '') : undefined;
    if (volume?.spec?.claimRef === undefined || volume.spec.claimRef.uid !== claim.metadata.uid) throw new GantryError('unavailable', `persistentvolumeclaim "${claimName}" is not bound to a volume yet`);
    const path = await this.#pathOf(volume.spec, volume.metadata.name);
    const { fsGroup, fsGroupChangePolicy } = pod.spec?.securityContext ?? {};
    if (fsGroup !== undefined && volume.spec.local !== undefined) await ownByGroup(path, fsGroup, fsGroupChangePolicy === 'OnRootMismatch');
    return { path };
  }

  async #pathOf({ local, hostPath, nodeAffinity }: k8s.PersistentVolumeSpec, name: string): Promise<string> {
    const node = this.#nodes.get(this.#nodeName);
    if (nodeAffinity?.required !== undefined && node !== undefined && !nodeSelectorMatches(nodeAffinity.required, node)) throw new GantryError('invalid', `volume ${name} is on another node`);
    if (hostPath !== undefined) return prepareHostPath(hostPath);
    if (local === undefined) throw new GantryError('unsupported', `volume ${name} is of a kind that this node cannot mount`);
    const found = await stat(local.path).catch(() => undefined);
    if (found?.isDirectory() !== true) throw new GantryError('not-found', `volume ${name}: there is no folder ${local.path}`);
    return local.path;
  }
}

/** Gives a volume to the pod's group (Kubernetes, "Configure volume permission and ownership change policy"). Links are not followed. */
async function ownByGroup(path: string, group: number, onlyIfRootDiffers: boolean): Promise<void> {
  const root = await stat(path);
  if (onlyIfRootDiffers && root.gid === group && (root.mode & 0o2070) === 0o2070) return;
  await ownTree(path, group);
}

async function ownTree(path: string, group: number): Promise<void> {
  const stats = await lstat(path);
  if (stats.isSymbolicLink()) return;
  if (stats.isDirectory()) for (const entry of await readdir(path)) await ownTree(join(path, entry), group);
  if (stats.gid !== group) await chown(path, stats.uid, group);
  const mode = stats.mode & 0o7777;
  const wanted = stats.isDirectory() ? mode | 0o2070 : mode | 0o060;
  if (mode !== wanted) await chmod(path, wanted);
}

/** The folder of a provisioned volume; made once, writable by any user of its pods. */
export async function makeVolumeFolder(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(folder, { recursive: true, mode: 0o711 });
  const isNew = (await mkdir(path, { recursive: true })) !== undefined;
  if (isNew) await chmod(path, 0o777);
  return path;
}
