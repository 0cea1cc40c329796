import { type Digest, type k8s, keyOf, refOf, resources, type Stored } from '../../api/mod.ts';
import { type Backoff, formatError, GantryError, isError, withTimeout } from '../../kernel/mod.ts';
import { toContainerSpec } from './container-spec.ts';
import type { PodFacts } from './downward.ts';
import { resolveEnvironment } from './environment.ts';
import { runHook } from './lifecycle-hooks.ts';
import type { NodeServices } from './node-services.ts';
import { allContainers, latestAttempt, type PodAction } from './pod-view.ts';
import type { ImageSummary, Sandbox } from './ports.ts';
import type { ProbeTarget } from './probes/handlers.ts';
import { toSandboxSpec } from './sandbox-spec.ts';
import type { StatusWriter } from './status-writer.ts';
import { type ConfigKind, usesConfig } from './volumes/config-references.ts';

/** Kubernetes' pull back-off. */
const imageBackoff: Backoff = { initialMs: 10_000, factor: 2, maxMs: 300_000, jitter: 0 };
const quickBackoff: Backoff = { initialMs: 250, factor: 2, maxMs: 60_000, jitter: 0.1 };
/** A pod whose Services cannot be told in time is stopped all the same. */
const maxDrainMs = 5_000;
/** What a hook that used up the grace period leaves to the container, as in Kubernetes. */
const minGraceSeconds = 2;
const engineTimeoutMs = 120_000;

interface Known extends ImageSummary { readonly attempt: number; readonly imageId: Digest }

/** Does what the plan of one pod says. Every action may run again after a crash. */
export class PodOperations {
  readonly #services: NodeServices;
  readonly #status: StatusWriter;
  readonly #pod: () => Stored<k8s.Pod>;
  readonly #images = new Map<string, Known>();
  readonly #preStopped = new Set<string>();
  #volumesVersion = 0;
  #preparedVersion = -1;
  #renewAtMs: number | undefined;
  #isDrained = false;
  #areVolumesReleased = false;
  #isDeleteRequested = false;

  constructor(services: NodeServices, status: StatusWriter, pod: () => Stored<k8s.Pod>) {
    this.#services = services;
    this.#status = status;
    this.#pod = pod;
  }

  get images(): ReadonlyMap<string, Known> {
    return this.#images;
  }

  get areVolumesReady(): boolean {
    if (this.#renewAtMs !== undefined && this.#renewAtMs <= this.#services.clock.now()) return false;
    return this.#preparedVersion === this.#volumesVersion;
  }

  /** When a token in a volume has to be renewed. */
  get renewAtMs(): number | undefined {
    return this.#renewAtMs;
  }

  get isDrained(): boolean {
    return this.#isDrained;
  }

  get areVolumesReleased(): boolean {
    return this.#areVolumesReleased;
  }

  get isDeleteRequested(): boolean {
    return this.#isDeleteRequested;
  }

  usesConfig(kind: ConfigKind, name: string): boolean {
    return usesConfig(this.#pod().spec, kind, name);
  }

  outdateVolumes(): void {
    this.#volumesVersion += 1;
  }

  /** How a failure of the action is reported and how long it waits. */
  failureKind(action: PodAction): { reason: string; backoff: Backoff; event?: string } {
    switch (action.type) {
      case 'ensure-image':
        return { reason: 'ErrImagePull', backoff: imageBackoff, event: 'Failed' };
      case 'start-container':
        return { reason: 'CreateContainerError', backoff: quickBackoff, event: 'Failed' };
      case 'create-sandbox':
        return { reason: 'FailedCreatePodSandBox', backoff: quickBackoff, event: 'FailedCreatePodSandBox' };
      case 'prepare-volumes':
        return { reason: 'FailedMount', backoff: quickBackoff, event: 'FailedMount' };
      case 'stop-container':
        return { reason: 'FailedKillPod', backoff: quickBackoff, event: 'FailedKillPod' };
      default:
        return { reason: action.type, backoff: quickBackoff };
    }
  }

  /** The part of the pod that events about the action name. */
  fieldPath(action: PodAction): string | undefined {
    return 'container' in action ? fieldPathOf(this.#pod(), action.container) : undefined;
  }

  async perform(action: PodAction, signal: AbortSignal): Promise<void> {
    switch (action.type) {
      case 'prepare-volumes':
        return this.#prepareVolumes(signal);
      case 'create-sandbox':
        await this.#services.runtime.createSandbox(toSandboxSpec(this.#pod(), this.#services.node.dns), withTimeout(signal, engineTimeoutMs));
        return this.#services.index.refresh(signal);
      case 'ensure-image':
        return this.#ensureImage(action.container, action.attempt, signal);
      case 'start-container':
        return this.#startContainer(action, signal);
      case 'stop-container':
        return this.#stopContainer(action, signal);
      case 'remove-container':
        await this.#services.runtime.removeContainer(action.id, withTimeout(signal, engineTimeoutMs)).catch(ignoreGone);
        return this.#services.index.refresh(signal);
      case 'drain':
        return this.#drain(signal);
      case 'remove-sandbox':
        await this.#services.runtime.removeSandbox(this.#sandbox().id, withTimeout(signal, engineTimeoutMs));
        return this.#services.index.refresh(signal);
      case 'release-volumes':
        await this.#services.volumes.release(this.#pod().metadata.uid);
        this.#preparedVersion = -1;
        this.#areVolumesReleased = true;
        return;
      case 'delete-pod':
        return this.#deletePod(signal);
    }
  }

  async #prepareVolumes(signal: AbortSignal): Promise<void> {
    const version = this.#volumesVersion;
    this.#areVolumesReleased = false;
    const { renewAtMs } = await this.#services.volumes.prepare(this.#facts(), withTimeout(signal, engineTimeoutMs));
    this.#renewAtMs = renewAtMs;
    this.#preparedVersion = version;
  }

  async #ensureImage(name: string, attempt: number, signal: AbortSignal): Promise<void> {
    const container = this.#container(name);
    const image = container.image ?? '';
    const onPull = (): void => this.#event('Normal', 'Pulling', `Pulling image "${image}"`, name);
    const ensured = await this.#services.images.ensure(this.#pod(), container, onPull, signal);
    this.#images.set(name, { ...ensured.image, attempt, imageId: ensured.image.id });
    const pulled = ensured.pulledMs === undefined ? `Container image "${image}" already present on machine` : `Successfully pulled image "${image}" in ${ensured.pulledMs}ms`;
    this.#event('Normal', 'Pulled', pulled, name);
  }

  async #startContainer(action: Extract<PodAction, { type: 'start-container' }>, signal: AbortSignal): Promise<void> {
    const { runtime, index, clock, starts } = this.#services;
    const container = this.#container(action.container);
    // Many starts at once only slow each other down: a few at a time are done sooner, each and all.
    const id = await starts.run(() => this.#createAndStart(action, container, withTimeout(signal, engineTimeoutMs)), signal);
    await index.refresh(signal);
    const hook = container.lifecycle?.postStart;
    if (hook === undefined) return;
    try {
      await runHook(runtime, this.#target(id, container), hook, clock, engineTimeoutMs, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      this.#event('Warning', 'FailedPostStartHook', `PostStartHook failed: ${formatError(error)}`, container.name);
      const graceSeconds = this.#pod().spec?.terminationGracePeriodSeconds ?? 30;
      await runtime.stopContainer(id, graceSeconds, signal);
      await index.refresh(signal);
    }
  }

  async #createAndStart(action: Extract<PodAction, { type: 'start-container' }>, container: k8s.Container, signal: AbortSignal): Promise<string> {
    const id = await this.#createContainer(action, container, signal);
    this.#event('Normal', 'Created', `Created container: ${container.name}`, container.name);
    try {
      await this.#services.runtime.startContainer(id, signal);
    } catch (error) {
      await this.#services.index.refresh(signal);
      throw withReason(error, 'RunContainerError');
    }
    this.#event('Normal', 'Started', `Started container ${container.name}`, container.name);
    return id;
  }

  async #createContainer(action: Extract<PodAction, { type: 'start-container' }>, container: k8s.Container, signal: AbortSignal): Promise<string> {
    const { runtime, source, volumes, node } = this.#services;
    const image = this.#images.get(container.name);
    if (image === undefined) throw new GantryError('internal', `the image of ${container.name} is not known`);
    const facts = this.#facts();
    try {
      const environment = await resolveEnvironment(source, facts, container, signal);
      const mounts = await volumes.mountsOf(facts.pod, container, action.attempt, environment);
      const targetContainerId = this.#targetOf(container.name);
      const limits = { nodeMemoryBytes: node.memoryBytes, podPidsLimit: node.podPidsLimit };
      const { attempt, backoffSeconds } = action;
      const spec = toContainerSpec({ facts, container, sandboxId: this.#sandbox().id, attempt, backoffSeconds, image, environment, mounts, limits, ...(targetContainerId === undefined ? {} : { targetContainerId }) });
      return await runtime.createContainer(spec, signal);
    } catch (error) {
      if (!isError(error, 'not-found', 'invalid', 'unsupported')) throw error;
      throw withReason(error, 'CreateContainerConfigError');
    }
  }

  async #stopContainer({ id, container: name, deadlineMs, reason }: Extract<PodAction, { type: 'stop-container' }>, signal: AbortSignal): Promise<void> {
    const { runtime, index, clock } = this.#services;
    const container = this.#container(name);
    this.#event('Normal', 'Killing', reason.startsWith('Container ') ? reason : `Stopping container ${name}`, name);
    const hook = container.lifecycle?.preStop;
    let minSeconds = 0;
    if (hook !== undefined && !this.#preStopped.has(id)) {
      this.#preStopped.add(id);
      minSeconds = minGraceSeconds;
      try {
        await runHook(runtime, this.#target(id, container), hook, clock, deadlineMs - clock.now(), signal);
      } catch (error) {
        if (signal.aborted) throw error;
        this.#event('Warning', 'FailedPreStopHook', `PreStopHook failed: ${formatError(error)}`, name);
      }
    }
    const graceSeconds = Math.max(minSeconds, Math.ceil((deadlineMs - clock.now()) / 1000), 0);
    await runtime.stopContainer(id, graceSeconds, withTimeout(signal, graceSeconds * 1000 + engineTimeoutMs)).catch(ignoreGone);
    await index.refresh(signal);
  }

  async #drain(signal: AbortSignal): Promise<void> {
    const ip = this.#services.index.sandboxOf(this.#pod().metadata.uid)?.ip ?? '';
    const graceSeconds = this.#pod().metadata.deletionGracePeriodSeconds ?? 30;
    try {
      if (ip !== '') await this.#services.drain?.drained(ip, withTimeout(signal, Math.min(maxDrainMs, graceSeconds * 500)));
    } catch (error) {
      if (signal.aborted) throw error;
      this.#services.log.warn('services still name a pod that stops', { pod: keyOf(this.#pod()), err: error });
    }
    this.#isDrained = true;
  }

  async #deletePod(signal: AbortSignal): Promise<void> {
    const pod = this.#pod();
    await this.#status.flush();
    const options = { gracePeriodSeconds: 0, preconditions: { uid: pod.metadata.uid } };
    await this.#services.client.delete(resources.pods, refOf(keyOf(pod)), options, signal).catch((error: unknown) => {
      // A pod of the same name that came later is none of ours.
      if (!isError(error, 'conflict', 'precondition-failed', 'not-found')) throw error;
    });
    this.#isDeleteRequested = true;
  }

  #facts(): PodFacts {
    const { node, index } = this.#services;
    const pod = this.#pod();
    const ip = pod.spec?.hostNetwork === true ? node.ip : (index.sandboxOf(pod.metadata.uid)?.ip ?? '');
    return { pod, nodeName: node.name, nodeIp: node.ip, podIp: ip };
  }

  #sandbox(): Sandbox {
    const sandbox = this.#services.index.sandboxOf(this.#pod().metadata.uid);
    if (sandbox === undefined) throw new GantryError('unavailable', 'the pod has no sandbox');
    return sandbox;
  }

  #container(name: string): k8s.Container {
    const found = allContainers(this.#pod().spec).find((container) => container.name === name);
    if (found === undefined) throw new GantryError('internal', `the pod has no container ${name}`);
    return found;
  }

  #targetOf(name: string): string | undefined {
    const target = this.#pod().spec?.ephemeralContainers?.find((container) => container.name === name)?.targetContainerName;
    if (target === undefined || target === '') return undefined;
    const running = latestAttempt(this.#services.index.containersOf(this.#pod().metadata.uid), target);
    if (running?.state !== 'running') throw new GantryError('invalid', `the target container ${target} is not running`);
    return running.id;
  }

  #target(containerId: string, container: k8s.Container): ProbeTarget {
    return { containerId, container, address: this.#facts().podIp };
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string, container: string): void {
    this.#services.events.record(this.#pod(), type, reason, message, fieldPathOf(this.#pod(), container));
  }
}

function fieldPathOf(pod: k8s.Pod, container: string): string {
  const list = (['initContainers', 'ephemeralContainers'] as const).find((name) => pod.spec?.[name]?.some((one) => one.name === container));
  return `spec.${list ?? 'containers'}{${container}}`;
}

function ignoreGone(error: unknown): void {
  if (!isError(error, 'not-found')) throw error;
}

function withReason(error: unknown, reason: string): GantryError {
  const code = isError(error) ? error.code : 'internal';
  return new GantryError(code, formatError(error), { cause: error, details: { ...(isError(error) ? error.details : {}), reason } });
}
