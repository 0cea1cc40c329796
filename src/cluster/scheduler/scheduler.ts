import { isDeepStrictEqual } from 'node:util';
import { type k8s, keyOf, refOf, resources, type Stored } from '../../api/mod.ts';
import { type Change, EventRecorder, type Informer, type Informers, type KubeClient } from '../../client/mod.ts';
import { aborted, type Backoff, backoffMs, formatError, isError, type Logger, type Service, systemClock, withTimeout } from '../../kernel/mod.ts';
import { chooseNode, pendingSentence } from './choose-node.ts';
import { ClusterState, type Pod } from './cluster-state.ts';
import type { Surroundings, VolumeView } from './filters/filter.ts';
import { claimNamesOf, isWaitingForConsumer, selectedNode } from './filters/volumes.ts';
import { PodQueue } from './pod-queue.ts';
import { planPreemption, type Preemption } from './preemption.ts';
import { defaultScores, packingScores, type Score } from './scores.ts';

export interface SchedulerOptions {
  /** Pods that name another scheduler are left alone. Default `default-scheduler`. */
  readonly schedulerName?: string;
  /** `spread`: pods go where most is free. `dense`: nodes are filled one after the other, so that others stay empty. Default `spread`. */
  readonly packing?: 'spread' | 'dense';
}

const bindTimeoutMs = 10_000;
const bindBackoff: Backoff = { initialMs: 50, factor: 2, maxMs: 5_000, jitter: 0.2 };

/** Gives every pod a node. It acts on events alone: on new pods, and on what makes room for those that found none. */
export class Scheduler implements Service {
  readonly name = 'scheduler';
  readonly #client: KubeClient;
  readonly #pods: Informer<k8s.Pod>;
  readonly #nodes: Informer<k8s.Node>;
  readonly #namespaces: Informer<k8s.Namespace>;
  readonly #budgets: Informer<k8s.PodDisruptionBudget>;
  readonly #surroundings: Surroundings;
  readonly #volumes: VolumeView;
  readonly #volumeCaches: readonly { ready(signal: AbortSignal): Promise<void> }[];
  readonly #scores: readonly Score[];
  readonly #events: EventRecorder;
  readonly #schedulerName: string;
  readonly #log: Logger;
  readonly #state = new ClusterState();
  readonly #queue = new PodQueue(() => this.#wake.resolve());
  readonly #binds = new Set<Promise<void>>();
  readonly #failures = new Map<string, number>();
  #wake = Promise.withResolvers<void>();
  #nextNode = 0;

  constructor(client: KubeClient, informers: Informers, options: SchedulerOptions, log: Logger) {
    this.#client = client;
    this.#schedulerName = options.schedulerName ?? 'default-scheduler';
    this.#log = log;
    this.#events = new EventRecorder(client, this.#schedulerName, log);
    this.#nodes = informers.of(resources.nodes);
    this.#pods = informers.of(resources.pods);
    this.#namespaces = informers.of(resources.namespaces);
    this.#budgets = informers.of(resources.podDisruptionBudgets);
    const [claims, volumes, classes] = [informers.of(resources.persistentVolumeClaims), informers.of(resources.persistentVolumes), informers.of(resources.storageClasses)];
    this.#volumes = {
      claim: (namespace, name) => claims.get(keyOf({ namespace, name })),
      volume: (name) => volumes.get(name),
      storageClass: (name) => classes.get(name),
      volumes: () => volumes.list(),
    };
    this.#volumeCaches = [claims, volumes, classes];
    this.#surroundings = { namespaceLabels: (name) => this.#namespaces.get(name)?.metadata.labels, volumes: this.#volumes };
    this.#scores = options.packing === 'dense' ? packingScores : defaultScores;
    claims.onChange(() => this.#queue.unparkAll());
    volumes.onChange(() => this.#queue.unparkAll());
    classes.onChange(() => this.#queue.unparkAll());
    this.#nodes.onChange((change) => this.#onNode(change));
    this.#pods.onChange((change) => this.#onPod(change));
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      await Promise.all([this.#nodes, this.#pods, this.#namespaces, this.#budgets, ...this.#volumeCaches].map((informer) => informer.ready(signal)));
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    const stopped = aborted(signal);
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers<void>();
      for (const pod of this.#queue.takeAll()) this.#schedule(pod, signal);
      await Promise.race([this.#wake.promise, stopped]);
    }
    await Promise.all(this.#binds);
  }

  #onNode(change: Change<k8s.Node>): void {
    if (change.type === 'deleted') return this.#state.removeNode(change.object.metadata.name);
    if (change.type === 'modified' && !changesRoom(change.previous, change.object)) return;
    this.#state.setNode(change.object);
    this.#queue.unparkAll();
  }

  #onPod(change: Change<k8s.Pod>): void {
    const pod = change.object;
    const isOver = change.type === 'deleted' || pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
    if (isOver) {
      this.#queue.remove(pod);
      this.#failures.delete(pod.metadata.uid);
      if (this.#state.withdraw(pod.metadata.uid)) this.#queue.unparkAll();
      if (!this.#state.isPlaced(pod.metadata.uid)) return;
      this.#state.remove(pod.metadata.uid);
      return this.#queue.unparkAll();
    }
    const nodeName = pod.spec?.nodeName ?? '';
    if (nodeName !== '') {
      this.#queue.remove(pod);
      return this.#state.place(pod, nodeName);
    }
    if (!this.#isOurs(pod) || this.#state.isPlaced(pod.metadata.uid)) return;
    // Our own report that the pod has no node is no news.
    if (change.type === 'modified' && this.#queue.isParked(pod) && isDeepStrictEqual(change.previous.spec, pod.spec)) return;
    this.#queue.add(pod);
  }

  #isOurs(pod: Pod): boolean {
    return (pod.spec?.schedulerName ?? 'default-scheduler') === this.#schedulerName && pod.metadata.deletionTimestamp === undefined;
  }

  #schedule(pod: Pod, signal: AbortSignal): void {
    const gates = pod.spec?.schedulingGates ?? [];
    if (gates.length > 0) {
      this.#queue.park(pod);
      return this.#track(this.#report(pod, 'SchedulingGated', 'Scheduling is blocked due to non-empty scheduling gates', signal));
    }
    const nodes = this.#state.nodes;
    const choice = chooseNode(pod, nodes, this.#surroundings, { from: this.#nextNode, scores: this.#scores });
    if ('nodeName' in choice) {
      this.#nextNode = nodes.length === 0 ? 0 : (this.#nextNode + 1) % nodes.length;
      this.#state.place(pod, choice.nodeName);
      return this.#track(this.#bind(pod, choice.nodeName, signal));
    }
    this.#queue.park(pod);
    this.#track(this.#report(pod, 'Unschedulable', pendingSentence(nodes.length, choice.reasons), signal));
    if (this.#state.isMakingRoom(pod)) return;
    const preemption = planPreemption(pod, nodes, this.#surroundings, this.#budgets.list());
    if (preemption === undefined) return;
    this.#state.nominate(pod, preemption.nodeName);
    this.#track(this.#preempt(pod, preemption, signal));
  }

  /** Asks the victims to leave; the pod is tried again when they are gone. */
  async #preempt(pod: Pod, { nodeName, victims }: Preemption, signal: AbortSignal): Promise<void> {
    try {
      const body = { metadata: { uid: pod.metadata.uid }, status: { nominatedNodeName: nodeName } };
      await this.#client.patch(resources.pods, refOf(keyOf(pod)), { type: 'merge', subresource: 'status', body }, withTimeout(signal, bindTimeoutMs));
      await Promise.all(victims.map((victim) => this.#evict(victim, pod, signal)));
    } catch (error) {
      // Without its nomination the pod makes a new plan at its next try.
      this.#state.withdraw(pod.metadata.uid);
      if (!signal.aborted && !isError(error, 'not-found', 'conflict')) this.#log.warn('preemption failed', { pod: keyOf(pod), error: formatError(error) });
      this.#queue.unparkAll();
    }
  }

  async #evict(victim: Pod, by: Pod, signal: AbortSignal): Promise<void> {
    if (victim.metadata.deletionTimestamp !== undefined) return;
    const ref = refOf(keyOf(victim));
    const condition = { type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler', message: `${this.#schedulerName}: preempting to accommodate a higher priority pod`, lastTransitionTime: nowText() };
    const { uid } = victim.metadata;
    await this.#client.patch(resources.pods, ref, { type: 'strategic', subresource: 'status', body: { metadata: { uid }, status: { conditions: [condition] } } }, withTimeout(signal, bindTimeoutMs));
    await this.#client.delete(resources.pods, ref, { preconditions: { uid } }, withTimeout(signal, bindTimeoutMs));
    this.#events.normal(victim, 'Preempted', `Preempted by pod ${by.metadata.uid} on node ${victim.spec?.nodeName ?? ''}`);
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#binds.delete(tracked));
    this.#binds.add(tracked);
  }

  async #bind(pod: Pod, nodeName: string, signal: AbortSignal): Promise<void> {
    const { name, namespace = '', uid } = pod.metadata;
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace, uid }, target: { apiVersion: 'v1', kind: 'Node', name: nodeName } };
    try {
      await this.#chooseForClaims(pod, nodeName, signal);
      await this.#client.request('POST', `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}/binding`, binding, withTimeout(signal, bindTimeoutMs));
      this.#failures.delete(uid);
      this.#events.normal(pod, 'Scheduled', `Successfully assigned ${keyOf(pod)} to ${nodeName}`);
    } catch (error) {
      this.#state.remove(uid);
      if (signal.aborted || isError(error, 'not-found')) return;
      await this.#retryBind(pod, error, signal);
    }
  }

  /** Claims that wait for their first pod are told its node: their volumes are made, or found, there. */
  async #chooseForClaims(pod: Pod, nodeName: string, signal: AbortSignal): Promise<void> {
    const { namespace = '' } = pod.metadata;
    for (const name of claimNamesOf(pod)) {
      const claim = this.#volumes.claim(namespace, name);
      if (claim === undefined || !isWaitingForConsumer(claim, this.#volumes) || claim.metadata?.annotations?.[selectedNode] === nodeName) continue;
      await this.#client.patch(resources.persistentVolumeClaims, { namespace, name }, { type: 'merge', body: { metadata: { uid: claim.metadata?.uid, annotations: { [selectedNode]: nodeName } } } }, withTimeout(signal, bindTimeoutMs));
    }
  }

  /** The pod may have been bound or removed meanwhile; what the cache says after a pause decides. */
  async #retryBind(pod: Pod, error: unknown, signal: AbortSignal): Promise<void> {
    const failures = (this.#failures.get(pod.metadata.uid) ?? 0) + 1;
    this.#failures.set(pod.metadata.uid, failures);
    if (!isError(error, 'conflict')) this.#log.warn('binding failed', { pod: keyOf(pod), error: formatError(error), failures });
    await systemClock.sleep(backoffMs(bindBackoff, failures - 1), signal).catch(() => undefined);
    const current = this.#pods.get(keyOf(pod));
    if (signal.aborted || current === undefined || (current.spec?.nodeName ?? '') !== '' || !this.#isOurs(current)) return;
    this.#queue.add(current);
  }

  /** Says on the pod why it waits; nothing is written when it already says so. */
  async #report(pod: Pod, reason: string, message: string, signal: AbortSignal): Promise<void> {
    const known = this.#pods.get(keyOf(pod))?.status?.conditions?.find(({ type }) => type === 'PodScheduled');
    if (known?.status === 'False' && known.reason === reason && known.message === message) return;
    const lastTransitionTime = nowText();
    const body = { metadata: { uid: pod.metadata.uid }, status: { conditions: [{ type: 'PodScheduled', status: 'False', reason, message, lastTransitionTime }] } };
    try {
      await this.#client.patch(resources.pods, refOf(keyOf(pod)), { type: 'strategic', subresource: 'status', body }, withTimeout(signal, bindTimeoutMs));
      if (reason === 'Unschedulable') this.#events.warning(pod, 'FailedScheduling', message);
    } catch (error) {
      if (!signal.aborted && !isError(error, 'not-found', 'conflict')) this.#log.warn('cannot report a waiting pod', { pod: keyOf(pod), error: formatError(error) });
    }
  }
}

/** RFC 3339 with seconds. */
function nowText(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Whether a node's change matters to where pods can go. Heartbeats do not. */
function changesRoom(before: Stored<k8s.Node>, after: Stored<k8s.Node>): boolean {
  const relevant = ({ metadata, spec, status }: Stored<k8s.Node>): unknown => ({
    labels: metadata.labels,
    spec,
    allocatable: status?.allocatable,
    isReady: status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True',
  });
  return !isDeepStrictEqual(relevant(before), relevant(after));
}
