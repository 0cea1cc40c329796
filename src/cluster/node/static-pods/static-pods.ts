import { type k8s, keyOf, refOf, resources, type Stored } from '../../../api/mod.ts';
import type { KubeClient, Lister } from '../../../client/mod.ts';
import { type Backoff, backoffMs, type ErrorCode, formatError, isError, type Logger, systemClock } from '../../../kernel/mod.ts';
import { ManifestFolder } from './manifest-folder.ts';
import { clusterReference, mirroredUid, toMirrorPod, toStaticPod } from './mirror.ts';

/** The folder is read again this often, for changes that nobody told of. */
const rescanMs = 20_000;
const retryBackoff: Backoff = { initialMs: 100, factor: 2, maxMs: 10_000, jitter: 0.2 };

export interface StaticPodOptions {
  readonly folder: string;
  /** Reads one manifest as the API would take it; `invalid` says what is wrong. */
  readonly read: (text: string) => Promise<k8s.Pod>;
}

/** One pod on the node, as its worker is seen from here. */
export interface StaticWorker {
  update(pod: Stored<k8s.Pod>): void;
  markGone(): void;
  /** Resolves when nothing of the pod is left here. */
  readonly done: Promise<void>;
}

interface Running { pod: Stored<k8s.Pod>; readonly worker: StaticWorker }

export interface StaticPodParts {
  readonly nodeName: string;
  readonly client: KubeClient;
  /** The API's pods of this node. */
  readonly pods: Lister<k8s.Pod>;
  readonly start: (pod: Stored<k8s.Pod>, signal: AbortSignal) => StaticWorker;
  /** A manifest that cannot be run; told once for each content. */
  readonly onRefused: (file: string, reason: string) => void;
  readonly log: Logger;
}

/**
 * Pods from files of the machine (Kubernetes, "Create static Pods"): they run whether or not an API server answers. Each has a mirror in
 * the API that shows it; deleting the mirror deletes nothing else, and it comes back.
 */
export class StaticPods {
  readonly #folder: ManifestFolder;
  readonly #read: StaticPodOptions['read'];
  readonly #parts: StaticPodParts;
  /** `namespace/name` → what runs; one at a time for each name. */
  readonly #running = new Map<string, Running>();
  readonly #refused = new Map<string, string>();
  #wanted = new Map<string, Stored<k8s.Pod>>();
  #wake = Promise.withResolvers<void>();

  constructor({ folder, read }: StaticPodOptions, parts: StaticPodParts) {
    this.#folder = new ManifestFolder(folder);
    this.#read = read;
    this.#parts = parts;
  }

  /** Starts what the files say, without the API. */
  async open(signal: AbortSignal): Promise<void> {
    await this.#scan();
    this.#startWanted(signal);
  }

  /** Follows the folder and keeps the mirrors. To be called when the API's pods of this node are known. */
  async run(signal: AbortSignal): Promise<void> {
    const watching = this.#folder.watch(() => this.#wake.resolve());
    signal.addEventListener('abort', () => watching[Symbol.dispose](), { once: true });
    for (let failures = 0; !signal.aborted; ) {
      this.#wake = Promise.withResolvers();
      let delayMs = rescanMs;
      try {
        await this.#scan();
        this.#startWanted(signal);
        await this.#keepMirrors(signal);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        this.#parts.log.warn('static pods: will try again', { error: formatError(error) });
        delayMs = backoffMs(retryBackoff, failures++);
      }
      await Promise.race([this.#wake.promise, systemClock.sleep(delayMs, signal).catch(() => undefined)]);
    }
  }

  /** A mirror appeared, changed or went. */
  mirrorChanged(pod: Stored<k8s.Pod>): void {
    const running = this.#running.get(keyOf(pod));
    if (running !== undefined && mirroredUid(pod) === running.pod.metadata.uid) {
      // Its status is what the worker goes on from, as with any pod; a new mirror has none yet and gets it.
      // An end that a shutdown gave it was the end of that run, not of the pod.
      const isFresh = running.pod.status === undefined && pod.status?.reason === 'Terminated';
      if (pod.status?.startTime !== undefined && !isFresh) running.pod = { ...running.pod, status: pod.status };
      running.worker.update(running.pod);
    }
    this.#wake.resolve();
  }

  /** The API's object for the pod, to write its status to; undefined while there is none. */
  mirrorOf(pod: Stored<k8s.Pod>): Stored<k8s.Pod> | undefined {
    const mirror = this.#parts.pods.get(keyOf(pod));
    return mirror !== undefined && mirroredUid(mirror) === pod.metadata.uid && mirror.metadata.deletionTimestamp === undefined ? mirror : undefined;
  }

  /** The uid that the pod's containers carry: of a mirror, that of the pod it stands for. Nobody else's word is taken for it. */
  uidOnNode(pod: Stored<k8s.Pod>): string {
    const running = this.#running.get(keyOf(pod));
    return running !== undefined && mirroredUid(pod) === running.pod.metadata.uid ? running.pod.metadata.uid : pod.metadata.uid;
  }

  async #scan(): Promise<void> {
    const wanted = new Map<string, Stored<k8s.Pod>>();
    for (const [file, text] of await this.#folder.read()) {
      try {
        const manifest = await this.#read(text);
        const reference = clusterReference(manifest);
        if (reference !== undefined) throw new Error(`a static pod runs without the cluster and cannot use ${reference}`);
        const pod = toStaticPod(manifest, file, this.#parts.nodeName);
        if (wanted.has(keyOf(pod))) throw new Error(`another file has a pod ${keyOf(pod)}`);
        wanted.set(keyOf(pod), pod);
        this.#refused.delete(file);
      } catch (error) {
        this.#refuse(file, text, formatError(error));
      }
    }
    this.#wanted = wanted;
  }

  #refuse(file: string, text: string, reason: string): void {
    if (this.#refused.get(file) === text) return;
    this.#refused.set(file, text);
    this.#parts.onRefused(file, reason);
  }

  #startWanted(signal: AbortSignal): void {
    for (const [key, { pod, worker }] of this.#running) if (this.#wanted.get(key)?.metadata.uid !== pod.metadata.uid) worker.markGone();
    for (const [key, pod] of this.#wanted) {
      // The next of a name waits until the last one has left: they may share host ports and folders.
      if (this.#running.has(key) || signal.aborted) continue;
      const worker = this.#parts.start(pod, signal);
      this.#running.set(key, { pod, worker });
      void worker.done.finally(() => {
        this.#running.delete(key);
        this.#wake.resolve();
      });
    }
  }

  async #keepMirrors(signal: AbortSignal): Promise<void> {
    const { client, pods, nodeName } = this.#parts;
    let node: Stored<k8s.Node> | undefined;
    for (const mirror of pods.list()) {
      if (mirroredUid(mirror) === undefined) continue;
      const isRight = this.#wanted.get(keyOf(mirror))?.metadata.uid === mirroredUid(mirror) && mirror.metadata.deletionTimestamp === undefined;
      if (isRight) continue;
      const options = { gracePeriodSeconds: 0, preconditions: { uid: mirror.metadata.uid } };
      await client.delete(resources.pods, refOf(keyOf(mirror)), options, signal).catch(ignore('not-found', 'conflict', 'precondition-failed'));
    }
    for (const [key, pod] of this.#wanted) {
      if (pods.get(key) !== undefined) continue;
      node ??= await client.get(resources.nodes, { name: nodeName }, signal);
      await client.create<k8s.Pod>(resources.pods, toMirrorPod(pod, node), signal).catch(ignore('already-exists'));
    }
  }
}

function ignore(...codes: ErrorCode[]): (error: unknown) => void {
  return (error) => {
    if (!isError(error, ...codes)) throw error;
  };
}
