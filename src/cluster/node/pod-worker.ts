import { type k8s, keyOf, type Stored } from '../../api/mod.ts';
import { isError, type Logger } from '../../kernel/mod.ts';
import { withLostContainers } from './lost-containers.ts';
import type { NodeServices } from './node-services.ts';
import { OperationRunner } from './operation-runner.ts';
import { PodOperations } from './pod-operations.ts';
import { deadlineExceeded, isDeleted, isFinished, ranOutOfTimeAtMs } from './pod-phase.ts';
import { planPod } from './pod-plan.ts';
import { PodProbers } from './pod-probers.ts';
import { toPodStatus } from './pod-status.ts';
import { unsupportedFields } from './pod-support.ts';
import { operationOf, type PodAction, type PodEnding, type PodView } from './pod-view.ts';
import { StatusWriter } from './status-writer.ts';
import { readTerminationMessage } from './termination-message.ts';
import type { ConfigKind } from './volumes/config-references.ts';
import { diskLimitsOf, planEviction } from './volumes/disk-limits.ts';

/** How often volumes with a limit are measured. */
const diskPeriodMs = 10_000;

/**
 * Looks after one pod from the first sight of it until nothing of it is left. It sleeps until something happens: the pod or
 * its configuration changes, the engine tells, an operation ends, a probe changes its mind, or a moment the plan named comes.
 */
export class PodWorker {
  readonly #services: NodeServices;
  readonly #log: Logger;
  readonly #operations: OperationRunner;
  readonly #actions: PodOperations;
  readonly #probers: PodProbers;
  readonly #status: StatusWriter;
  readonly #messages = new Map<string, string>();
  readonly #statusOf: (pod: Stored<k8s.Pod>) => Stored<k8s.Pod> | undefined;
  #pod: Stored<k8s.Pod>;
  #isGone = false;
  #ending: PodEnding | undefined;
  #endingSinceMs: number | undefined;
  readonly #stopped = Promise.withResolvers<void>();
  #wake = Promise.withResolvers<void>();

  /** `statusOf`: the API's object that gets the pod's status, while there is one. Default: the pod itself. */
  constructor(services: NodeServices, pod: Stored<k8s.Pod>, statusOf: (pod: Stored<k8s.Pod>) => Stored<k8s.Pod> | undefined = (own) => own) {
    this.#statusOf = statusOf;
    this.#services = services;
    this.#pod = pod;
    this.#log = services.log.with({ pod: keyOf(pod) });
    this.#operations = new OperationRunner(() => this.wake());
    this.#status = new StatusWriter(services.client, this.#log);
    this.#actions = new PodOperations(services, this.#status, () => this.#pod);
    this.#probers = new PodProbers(services, () => this.#pod, () => this.wake());
  }

  get pod(): Stored<k8s.Pod> {
    return this.#pod;
  }

  update(pod: Stored<k8s.Pod>): void {
    this.#pod = pod;
    this.wake();
  }

  /** Ends the pod although nobody deleted it; resolves when none of its containers runs any more. A pod that has ended keeps its own end. */
  end(ending: PodEnding): Promise<void> {
    if (this.#ending === undefined && !isFinished(this.#observe())) this.#ending = ending;
    this.wake();
    return this.#stopped.promise;
  }

  /** Resolves when the API knows the newest status, or cannot be told now. */
  statusWritten(): Promise<void> {
    return this.#status.flush();
  }

  /** The pod's object is gone: what is left of it here goes too. */
  markGone(): void {
    this.#isGone = true;
    this.wake();
  }

  /** A ConfigMap, Secret or claim changed: volumes that show it are written anew, and what waited for it tries again. */
  configChanged(kind: ConfigKind, name: string): void {
    if (!this.#actions.usesConfig(kind, name)) return;
    this.#actions.outdateVolumes();
    this.#operations.forgive((operation) => /^(prepare-volumes|container:)/.test(operation));
    this.wake();
  }

  wake(): void {
    this.#wake.resolve();
  }

  /** Returns when the pod is gone from the API and from the node, or with the signal. */
  async run(signal: AbortSignal): Promise<void> {
    this.#admit();
    const probing = new AbortController();
    const limiting = this.#watchDisk(AbortSignal.any([signal, probing.signal]));
    const onAbort = (): void => this.wake();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      while (!signal.aborted) {
        this.#wake = Promise.withResolvers();
        const { isDone, requeueAtMs } = await this.#step(AbortSignal.any([signal, probing.signal]), signal);
        if (isDone) return;
        await this.#sleep(requeueAtMs);
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      probing.abort();
      this.#stopped.resolve();
      await Promise.all([limiting, this.#operations.idle()]);
      await this.#status.flush();
    }
  }

  #admit(): void {
    const phase = this.#pod.status?.phase;
    if (this.#pod.spec === undefined || phase === 'Failed' || phase === 'Succeeded') return;
    const places = unsupportedFields(this.#pod.spec);
    if (places.length === 0) return;
    const message = `This node cannot run the pod: ${places.map((place) => `${place.field ?? ''}: ${place.message}`).join('; ')}`;
    this.#ending = { reason: 'UnsupportedPodField', message };
    this.#services.events.warning(this.#pod, 'UnsupportedPodField', message);
  }

  /** Ends the pod when its volumes on disk hold more than they may. Nothing tells of that: it has to be looked at. */
  async #watchDisk(signal: AbortSignal): Promise<void> {
    const limits = this.#pod.spec === undefined ? undefined : diskLimitsOf(this.#pod.spec);
    if (limits === undefined) return;
    const { clock, volumes, events } = this.#services;
    while (!signal.aborted && this.#ending === undefined) {
      try {
        await clock.sleep(diskPeriodMs, signal);
        if (this.#endingSinceMs !== undefined || !this.#actions.areVolumesReady) continue;
        this.#ending = planEviction(limits, await volumes.diskUse(this.#pod, signal));
        if (this.#ending === undefined) continue;
        events.warning(this.#pod, this.#ending.reason, this.#ending.message);
        this.wake();
      } catch (error) {
        if (!signal.aborted) this.#log.warn('cannot measure volumes', { err: error });
      }
    }
  }

  async #step(probeSignal: AbortSignal, signal: AbortSignal): Promise<{ isDone: boolean; requeueAtMs?: number }> {
    try {
      await this.#readMessages();
      const view = this.#observe();
      if (view.endingSinceMs !== undefined) this.#operations.abort((name) => /^(image:|container:|create-sandbox|prepare-volumes)/.test(name));
      this.#probers.follow(view, probeSignal);
      const { actions, requeueAtMs } = planPod(view);
      for (const action of actions) this.#begin(action, signal);
      const shown = this.#isGone ? undefined : this.#statusOf(this.#pod);
      if (shown !== undefined) this.#status.set(shown, toPodStatus(this.#observe()), signal);
      const isOver = view.ending !== undefined || isFinished(view);
      if (isOver && actions.length === 0 && view.running.size === 0 && view.containers.every(({ state }) => state !== 'running')) this.#stopped.resolve();
      const isDone = this.#isGone && actions.length === 0 && view.running.size === 0 && requeueAtMs === undefined;
      return { isDone, ...(requeueAtMs === undefined ? {} : { requeueAtMs }) };
    } catch (error) {
      // A plan that fails would fail again at once: it is reported and tried again later.
      this.#log.error('pod step failed', { err: error });
      return { isDone: false, requeueAtMs: this.#services.clock.now() + 5_000 };
    }
  }

  #observe(): PodView {
    const { index, node, clock } = this.#services;
    const { uid } = this.#pod.metadata;
    const view: PodView = {
      pod: this.#pod,
      nowMs: clock.now(),
      nodeIp: node.ip,
      isGone: this.#isGone,
      ending: this.#ending,
      endingSinceMs: this.#endingSinceMs,
      sandbox: index.sandboxOf(uid),
      containers: withLostContainers(this.#pod, index.containersOf(uid)),
      images: this.#actions.images,
      areVolumesReady: this.#actions.areVolumesReady,
      areVolumesReleased: this.#actions.areVolumesReleased,
      isDeleteRequested: this.#actions.isDeleteRequested,
      probes: this.#probers.verdicts,
      running: this.#operations.running,
      failures: this.#operations.failures,
      isDrained: this.#actions.isDrained,
      terminationMessages: this.#messages,
    };
    const isOver = (ranOutOfTimeAtMs(view) ?? Infinity) <= view.nowMs && !isFinished(view) && !isDeleted(view);
    if (this.#ending === undefined && isOver) {
      this.#ending = deadlineExceeded;
      this.#services.events.normal(this.#pod, deadlineExceeded.reason, deadlineExceeded.message);
    }
    if (this.#endingSinceMs === undefined && (isDeleted(view) || this.#ending !== undefined || isFinished(view))) this.#endingSinceMs = view.nowMs;
    return { ...view, ending: this.#ending, endingSinceMs: this.#endingSinceMs };
  }

  #begin(action: PodAction, signal: AbortSignal): void {
    const { reason, backoff, event } = this.#actions.failureKind(action);
    const perform = (operationSignal: AbortSignal): Promise<void> => this.#actions.perform(action, operationSignal);
    this.#operations.start(operationOf(action), reason, backoff, perform, (failure, error) => {
      if (event !== undefined) this.#services.events.record(this.#pod, 'Warning', event, failure.message, this.#actions.fieldPath(action));
      if (!isError(error) || error.code === 'internal') this.#log.warn('pod operation failed', { operation: operationOf(action), err: error });
    }, signal);
  }

  async #readMessages(): Promise<void> {
    const exited = this.#services.index.containersOf(this.#pod.metadata.uid).filter(({ id, state }) => state === 'exited' && !this.#messages.has(id));
    await Promise.all(exited.map(async (container) => this.#messages.set(container.id, await readTerminationMessage(this.#services, this.#pod, container))));
  }

  async #sleep(requeueAtMs: number | undefined): Promise<void> {
    const renewAtMs = this.#actions.renewAtMs;
    const dueAtMs = Math.min(requeueAtMs ?? Infinity, renewAtMs ?? Infinity);
    if (dueAtMs === Infinity) return this.#wake.promise;
    const delayMs = Math.min(2 ** 31 - 1, Math.max(0, dueAtMs - this.#services.clock.now()));
    const timer = setTimeout(() => this.wake(), delayMs);
    await this.#wake.promise;
    clearTimeout(timer);
  }
}
