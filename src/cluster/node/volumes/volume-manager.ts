import { chmod, chown, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type k8s, quantityMilliValue, quantityValue } from '../../../api/mod.ts';
import { mount, mountFlags, readMounts, unmountBelow } from '../../../host/mod.ts';
import { GantryError, runCommand } from '../../../kernel/mod.ts';
import type { ConfigSource } from '../config-source.ts';
import type { PodFacts } from '../downward.ts';
import { expand } from '../expansion.ts';
import type { PodContainerSpec, PodSockets } from '../ports.ts';
import { writeAtomicFolder } from './atomic-folder.ts';
import type { ClaimVolumes } from './claim-volumes.ts';
import { prepareHostPath } from './host-path.ts';
import { isConfigVolume, readPayload } from './payload.ts';
import { bindSubPath } from './sub-path.ts';

/** The one CSI driver there is. */
const socketDriver = 'docker.gantry.dev';

export interface VolumeFolders {
  /** On disk: emptyDir volumes and termination messages. */
  readonly dataFolder: string;
  /** In memory (below /run): configuration and secrets never reach the disk. */
  readonly runFolder: string;
}

/** The volumes of the node's pods, in folders named by pod uid. Every step may be repeated: after a restart it finds what is there. */
export class VolumeManager {
  readonly #folders: VolumeFolders;
  readonly #source: ConfigSource;
  readonly #claims: Pick<ClaimVolumes, 'prepare'>;
  readonly #sockets: PodSockets | undefined;
  /** `pod uid/volume` → where the volume of a claim or driver is. */
  readonly #claimPaths = new Map<string, string>();

  constructor(folders: VolumeFolders, source: ConfigSource, claims: Pick<ClaimVolumes, 'prepare'>, sockets?: PodSockets) {
    this.#sockets = sockets;
    this.#folders = folders;
    this.#claims = claims;
    this.#source = source;
  }

  /**
   * Makes all volumes of the pod ready to be mounted. Returns when a token in them has to be renewed. When one fails the others are
   * waited for all the same: two rounds at once would each remove what the other has just written.
   */
  async prepare(facts: PodFacts, signal: AbortSignal): Promise<{ renewAtMs: number | undefined }> {
    const settled = await Promise.allSettled((facts.pod.spec?.volumes ?? []).map((volume) => this.#prepareOne(facts, volume, signal)));
    const failed = settled.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    const due = settled.flatMap((result) => (result.status === 'fulfilled' && result.value !== undefined ? [result.value] : []));
    return { renewAtMs: due.length === 0 ? undefined : Math.min(...due) };
  }

  /** The engine's mounts for one attempt of a container, its termination message file included. */
  async mountsOf(pod: k8s.Pod, container: k8s.Container, attempt: number, environment: ReadonlyMap<string, string>): Promise<PodContainerSpec['mounts']> {
    const mounts: PodContainerSpec['mounts'] = [];
    for (const [index, volumeMount] of (container.volumeMounts ?? []).entries()) {
      const volume = pod.spec?.volumes?.find(({ name }) => name === volumeMount.name);
      if (volume === undefined) throw new GantryError('invalid', `volume mount ${volumeMount.name} of container ${container.name} names no volume of the pod`);
      const subPath = volumeMount.subPathExpr === undefined ? (volumeMount.subPath ?? '') : expand(volumeMount.subPathExpr, environment);
      const path = this.#pathOf(pod, volume);
      const target = join(this.#podFolder(pod), 'sub-paths', container.name, `${attempt}-${index}`);
      mounts.push({
        hostPath: subPath === '' ? path : await bindSubPath(path, subPath, target),
        containerPath: volumeMount.mountPath,
        isReadOnly: volumeMount.readOnly === true || isConfigVolume(volume) || volume.persistentVolumeClaim?.readOnly === true,
        propagation: ({ HostToContainer: 'rslave', Bidirectional: 'rshared' } as const)[volumeMount.mountPropagation ?? ''] ?? 'private',
      });
    }
    const message = this.terminationMessageFile(pod, container.name, attempt);
    await mkdir(join(message, '..'), { recursive: true, mode: 0o700 });
    await writeFile(message, '', { mode: 0o666 });
    await chmod(message, 0o666);
    mounts.push({ hostPath: message, containerPath: container.terminationMessagePath ?? '/dev/termination-log', isReadOnly: false, propagation: 'private' });
    return mounts;
  }

  terminationMessageFile(pod: k8s.Pod, container: string, attempt: number): string {
    return join(this.#podFolder(pod), 'containers', container, String(attempt), 'termination-message');
  }

  /** Bytes on disk of each emptyDir volume of the pod that is not in memory. */
  async diskUse(pod: k8s.Pod, signal: AbortSignal): Promise<Map<string, number>> {
    const onDisk = (pod.spec?.volumes ?? []).filter(({ emptyDir }) => emptyDir !== undefined && emptyDir.medium !== 'Memory');
    const used = new Map<string, number>();
    for (const volume of onDisk) {
      // Files that vanish while they are counted make du complain and go on.
      const { stdout } = await runCommand('du', ['-s', '-B1', '--one-file-system', '--', this.#pathOf(pod, volume)], { okCodes: [0, 1] }, signal);
      used.set(volume.name, Number(stdout.split('\t')[0] ?? '0') || 0);
    }
    return used;
  }

  /** Removes everything of a pod. Host paths and other people's mounts are never touched: mounts go first, or nothing goes. */
  async release(podUid: string): Promise<void> {
    for (const key of [...this.#claimPaths.keys()]) if (key.startsWith(`${podUid}/`)) this.#claimPaths.delete(key);
    // First: what was made through it may use the pod's network or volumes of its own.
    await this.#sockets?.close(podUid, new AbortController().signal);
    for (const folder of [join(this.#folders.dataFolder, podUid), join(this.#folders.runFolder, podUid)]) {
      unmountBelow(folder);
      if (readMounts().some(({ target }) => target.startsWith(`${folder}/`))) throw new GantryError('unavailable', `${folder} still has mounts`);
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** The pods that have anything here; those that no longer exist are to be released. */
  async listPods(): Promise<string[]> {
    const names = await Promise.all([this.#folders.dataFolder, this.#folders.runFolder].map((folder) => readdir(folder).catch(() => [])));
    return [...new Set([...names.flat(), ...(this.#sockets?.podUids() ?? [])])];
  }

  async #prepareOne(facts: PodFacts, volume: k8s.Volume, signal: AbortSignal): Promise<number | undefined> {
    if (volume.persistentVolumeClaim !== undefined) {
      this.#claimPaths.set(claimKey(facts.pod, volume), (await this.#claims.prepare(facts.pod, volume.persistentVolumeClaim.claimName)).path);
      return undefined;
    }
    if (volume.csi !== undefined) {
      this.#claimPaths.set(claimKey(facts.pod, volume), await this.#openSocket(facts.pod, volume.csi.driver, signal));
      return undefined;
    }
    const path = this.#pathOf(facts.pod, volume);
    const group = facts.pod.spec?.securityContext?.fsGroup;
    if (volume.hostPath !== undefined) await prepareHostPath(volume.hostPath);
    if (volume.emptyDir !== undefined) await this.#prepareEmptyDir(path, volume.emptyDir, group);
    if (!isConfigVolume(volume)) return undefined;
    const { payload, renewAtMs } = await readPayload(this.#source, facts, volume, signal);
    await writeAtomicFolder(path, payload, group);
    return renewAtMs;
  }

  async #prepareEmptyDir(path: string, source: k8s.EmptyDirVolumeSource, group: number | undefined): Promise<void> {
    const isNew = (await mkdir(path, { recursive: true, mode: 0o777 })) !== undefined;
    if (source.medium === 'Memory' && !readMounts().some(({ target }) => target === path)) {
      const size = source.sizeLimit === undefined ? '' : `,size=${quantityValue(source.sizeLimit)}`;
      mount('tmpfs', path, 'tmpfs', mountFlags.noSuid | mountFlags.noDevices, `mode=0777${size}`);
    } else if (!isNew) return;
    if (group !== undefined) await chown(path, 0, group);
    await chmod(path, group === undefined ? 0o777 : 0o2777);
  }

  #pathOf(pod: k8s.Pod, volume: k8s.Volume): string {
    if (volume.hostPath !== undefined) return volume.hostPath.path;
    if (volume.persistentVolumeClaim !== undefined || volume.csi !== undefined) {
      const path = this.#claimPaths.get(claimKey(pod, volume));
      if (path === undefined) throw new GantryError('unavailable', `volume ${volume.name} is not prepared`);
      return path;
    }
    const root = isConfigVolume(volume) ? this.#folders.runFolder : this.#folders.dataFolder;
    return join(root, pod.metadata?.uid ?? '', 'volumes', volume.name);
  }

  /** The ceiling is what the pod's own containers may use, where they have limits. */
  async #openSocket(pod: k8s.Pod, driver: string, signal: AbortSignal): Promise<string> {
    if (driver !== socketDriver || this.#sockets === undefined) throw new GantryError('unsupported', `there is no CSI driver ${driver} on this node`);
    const total = (name: string, valueOf: (text: string) => number): number | undefined => {
      const limits = (pod.spec?.containers ?? []).map(({ resources }) => resources?.limits?.[name]);
      return limits.every((limit) => limit !== undefined) ? limits.reduce((sum, limit) => sum + valueOf(limit), 0) : undefined;
    };
    const [memoryBytes, cpuMilli] = [total('memory', quantityValue), total('cpu', quantityMilliValue)];
    return this.#sockets.open(pod.metadata?.uid ?? '', { ...(memoryBytes === undefined ? {} : { memoryBytes }), ...(cpuMilli === undefined ? {} : { cpuMilli }) }, signal);
  }

  #podFolder(pod: k8s.Pod): string {
    return join(this.#folders.dataFolder, pod.metadata?.uid ?? '');
  }
}

function claimKey(pod: k8s.Pod, volume: k8s.Volume): string {
  return `${pod.metadata?.uid ?? ''}/${volume.name}`;
}
