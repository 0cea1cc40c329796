import { text } from 'node:stream/consumers';
import { keyOf, type k8s, refOf, resources, type Stored } from '../../api/mod.ts';
import type { Informer, KubeClient } from '../../client/mod.ts';
import { cancelled, GantryError, isError, retry, throwIfAborted, withTimeout } from '../../kernel/mod.ts';
import { makeCacheFolder } from '../job/package-cache.ts';
import type { JobExecutor, JobRequest, JobSession, RepositoryRef } from '../ports.ts';
import { jobContainer, jobLabels, type JobPodOptions, serviceContainerName, temporaryPath, toJobPod, workspacePath } from './job-pod.ts';
import { type PodState, podStateOf } from './pod-state.ts';

const cleanupTimeoutMs = 30_000;
const logTailLines = 20;

/** Carries out jobs in pods of any Kubernetes cluster: starts one, runs steps by exec, removes it at the end. */
export class PodJobExecutor implements JobExecutor {
  readonly #client: KubeClient;
  readonly #pods: Informer<k8s.Pod>;
  readonly #options: JobPodOptions;

  /** `pods` must see the pods of jobs; it may see others. */
  constructor(client: KubeClient, pods: Informer<k8s.Pod>, options: JobPodOptions) {
    this.#client = client;
    this.#pods = pods;
    this.#options = options;
  }

  async open(request: JobRequest, progress: (line: string) => void, signal: AbortSignal): Promise<JobSession> {
    throwIfAborted(signal);
    const { namespace } = request.run;
    await this.#removeAll(namespace, `${jobLabels.run}=${request.run.name},${jobLabels.job}=${request.jobId}`, signal);
    if (request.cachePath !== undefined) await makeCacheFolder(request.cachePath);
    const pod = await this.#create(request, signal);
    const ref = { namespace, name: pod.metadata.name };
    try {
      await this.#waitUntilReady(pod, request, progress, signal);
    } catch (error) {
      await this.#remove(ref);
      throw error;
    }
    const lost = new AbortController();
    const stopWatching = this.#pods.onChange(({ type, object }) => {
      if (object.metadata.uid !== pod.metadata.uid) return;
      const state = podStateOf(object, request.services);
      if (type === 'deleted' || object.metadata.deletionTimestamp !== undefined) lost.abort(new GantryError('unavailable', 'the pod of the job was removed'));
      else if (state.state === 'failed') lost.abort(new GantryError('exhausted', `${describe(state.container)} stopped: ${state.reason}`));
    });
    return {
      workspace: workspacePath,
      temporary: temporaryPath,
      exec: async (command, streams, execSignal) => {
        const either = AbortSignal.any([execSignal, lost.signal]);
        try {
          return await this.#client.exec(ref, { container: jobContainer, command, ...streams }, either);
        } catch (error) {
          throw lost.signal.aborted ? cancelled(lost.signal) : error;
        }
      },
      [Symbol.asyncDispose]: async () => {
        stopWatching();
        await this.#remove(ref);
      },
    };
  }

  /** A pod of the same name that is being removed is waited for. */
  #create(request: JobRequest, signal: AbortSignal): Promise<Stored<k8s.Pod>> {
    const backoff = { initialMs: 20, factor: 2, maxMs: 500, jitter: 0 };
    return retry((attempt) => this.#client.create(resources.pods, toJobPod(request, this.#options), attempt), { attempts: 40, backoff, isRetryable: (error) => isError(error, 'already-exists', 'unavailable') }, signal);
  }

  async #waitUntilReady(pod: Stored<k8s.Pod>, request: JobRequest, progress: (line: string) => void, signal: AbortSignal): Promise<void> {
    await this.#waitFor(pod, request, (state) => state.state !== 'starting', signal, (state) => `${describe(state.state === 'starting' ? state.containers[0] : undefined)} did not start in time`);
    if (request.services.length === 0) return;
    const startedAt = Date.now();
    const limitMs = Math.max(...request.services.map(({ readyTimeoutSeconds }) => readyTimeoutSeconds)) * 1000;
    await this.#waitFor(pod, request, (state) => state.state === 'ready', withTimeout(signal, limitMs), (state) => `the service ${state.state === 'waiting' ? state.services.join(', ') : ''} was not ready in ${limitMs / 1000} s`);
    progress(`services ready after ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
  }

  /** Resolves when the pod is as wanted; rejects when it has failed, with the end of the container's log. */
  async #waitFor(pod: Stored<k8s.Pod>, request: JobRequest, isWanted: (state: PodState) => boolean, signal: AbortSignal, describeTimeout: (state: PodState) => string): Promise<void> {
    const settled = Promise.withResolvers<PodState>();
    const look = (current: Stored<k8s.Pod>): void => {
      const state = podStateOf(current, request.services);
      if (state.state === 'failed' || isWanted(state)) settled.resolve(state);
    };
    const stop = this.#pods.onChange(({ type, object }) => {
      if (object.metadata.uid !== pod.metadata.uid) return;
      if (type === 'deleted') settled.reject(new GantryError('unavailable', 'the pod of the job was removed before it had started'));
      else look(object);
    });
    const onAbort = (): void => settled.reject(cancelled(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      throwIfAborted(signal);
      const state = await settled.promise;
      if (state.state === 'failed') throw new GantryError('unavailable', `${describe(state.container)} did not start: ${state.reason}${await this.#logTail(pod, state.container)}`);
    } catch (error) {
      const current = this.#pods.get(keyOf(pod));
      if (!isError(error, 'timeout') || current === undefined) throw error;
      throw new GantryError('timeout', describeTimeout(podStateOf(current, request.services)), { cause: error });
    } finally {
      stop();
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #logTail(pod: Stored<k8s.Pod>, container: string): Promise<string> {
    try {
      const tail = await text(await this.#client.logs(refOf(keyOf(pod)), { container, tailLines: logTailLines }, AbortSignal.timeout(5_000)));
      return tail.trim() === '' ? '' : `\n${tail.trimEnd()}`;
    } catch {
      // A container that never ran has no log, and the reason has been given already.
      return '';
    }
  }

  sweep(run: RepositoryRef, signal: AbortSignal): Promise<void> {
    return this.#removeAll(run.namespace, `${jobLabels.run}=${run.name}`, signal);
  }

  async #removeAll(namespace: string, labelSelector: string, signal: AbortSignal): Promise<void> {
    const { items } = await this.#client.list(resources.pods, { namespace, labelSelector }, signal);
    for (const pod of items) await this.#remove({ namespace, name: pod.metadata.name });
  }

  /** By a deadline of its own: what is cleaned up after a cancelled job must not be cancelled with it. */
  async #remove(ref: { namespace: string; name: string }): Promise<void> {
    await this.#client.delete(resources.pods, ref, { gracePeriodSeconds: 0 }, AbortSignal.timeout(cleanupTimeoutMs));
  }
}

function describe(container: string | undefined): string {
  if (container === undefined || container === jobContainer) return 'the container of the job';
  return `the service ${container.replace(serviceContainerName(''), '')}`;
}
