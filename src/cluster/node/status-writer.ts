import { isDeepStrictEqual } from 'node:util';
import { type k8s, keyOf, refOf, resources, type Stored } from '../../api/mod.ts';
import type { KubeClient } from '../../client/mod.ts';
import { type Backoff, backoffMs, isError, type Logger, systemClock } from '../../kernel/mod.ts';

const writeBackoff: Backoff = { initialMs: 50, factor: 2, maxMs: 5_000, jitter: 0.2 };

/** Writes one pod's status: at once, the newest only, again and again until the API takes it. */
export class StatusWriter {
  readonly #client: KubeClient;
  readonly #log: Logger;
  #wanted: { pod: Stored<k8s.Pod>; status: k8s.PodStatus } | undefined;
  #written: k8s.PodStatus | undefined;
  #uid: string | undefined;
  #writing: Promise<void> | undefined;

  constructor(client: KubeClient, log: Logger) {
    this.#client = client;
    this.#log = log;
  }

  set(pod: Stored<k8s.Pod>, status: k8s.PodStatus, signal: AbortSignal): void {
    // Another object than before knows nothing yet.
    if (this.#uid !== pod.metadata.uid) this.#written = undefined;
    this.#uid = pod.metadata.uid;
    if (isDeepStrictEqual(this.#wanted?.status ?? this.#written ?? knownPart(pod.status, status), status)) return;
    this.#wanted = { pod, status };
    this.#writing ??= this.#write(signal).finally(() => (this.#writing = undefined));
  }

  /** Resolves when the newest status is written or can no longer be. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  async #write(signal: AbortSignal): Promise<void> {
    for (let failures = 0; this.#wanted !== undefined && !signal.aborted; ) {
      const { pod, status } = this.#wanted;
      try {
        // The uid makes sure that a pod of the same name that came later is not touched.
        const body = { metadata: { uid: pod.metadata.uid }, status: { ...removals(pod.status, status), ...status } };
        await this.#client.patch(resources.pods, refOf(keyOf(pod)), { type: 'merge', subresource: 'status', body }, signal);
        this.#written = status;
        failures = 0;
      } catch (error) {
        if (isError(error, 'not-found', 'precondition-failed') || (isError(error, 'conflict') && failures > 3)) this.#written = status;
        else {
          if (signal.aborted) return;
          this.#log.debug('status not written', { pod: keyOf(pod), err: error });
          await systemClock.sleep(backoffMs(writeBackoff, failures++), signal).catch(() => undefined);
          continue;
        }
      }
      if (this.#wanted.status === status) this.#wanted = undefined;
    }
  }
}

/** The part of what the API has that the node would write. */
function knownPart(known: k8s.PodStatus | undefined, status: k8s.PodStatus): Record<string, unknown> {
  return Object.fromEntries(Object.keys(status).map((key) => [key, known?.[key as keyof k8s.PodStatus]]));
}

/** Fields that the API has from earlier and the pod has no more. */
function removals(known: k8s.PodStatus | undefined, status: k8s.PodStatus): Record<string, null> {
  const own = ['podIP', 'podIPs', 'reason', 'message'] as const;
  return Object.fromEntries(own.filter((key) => known?.[key] !== undefined && status[key] === undefined).map((key) => [key, null]));
}
