import { type k8s, keyOf, refOf, resources, type Stored } from '../../../api/mod.ts';
import { formatError, type Service } from '../../../kernel/mod.ts';
import type { ControllerSettings } from '../config.ts';
import type { ControllerContext } from '../context.ts';

const pageSize = 500;
/** Looking more often would find little. */
const minPauseMs = 60_000;

/** Deletes Events some time after they last happened, so that they do not fill the store. It holds none in memory. */
export class EventExpiry implements Service {
  readonly name = 'event-expiry';
  readonly #context: ControllerContext;
  readonly #ttlMs: number;

  constructor(context: ControllerContext, settings: ControllerSettings) {
    this.#context = context;
    this.#ttlMs = settings.eventTtlMs;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.sweep(signal);
      } catch (error) {
        if (!signal.aborted) this.#context.log.debug('events could not be expired', { error: formatError(error) });
      }
      await this.#context.clock.sleep(Math.max(minPauseMs, this.#ttlMs / 20), signal).catch(() => undefined);
    }
  }

  /** One look at all Events. Returns how many were deleted. */
  async sweep(signal: AbortSignal): Promise<number> {
    let deleted = 0;
    for (let next: string | undefined; ; ) {
      const page = await this.#context.client.list(resources.events, { limit: pageSize, ...(next === undefined ? {} : { continue: next }) }, signal);
      for (const event of page.items) {
        if (this.#context.clock.now() - lastHappenedMs(event) < this.#ttlMs) continue;
        const { uid, resourceVersion } = event.metadata;
        await this.#context.client.delete(resources.events, refOf(keyOf(event)), { preconditions: { uid, resourceVersion } }, signal);
        deleted += 1;
      }
      next = page.metadata.continue;
      if (next === undefined || next === '') return deleted;
    }
  }
}

function lastHappenedMs(event: Stored<k8s.Event>): number {
  const times = [event.series?.lastObservedTime, event.lastTimestamp, event.eventTime, event.metadata.creationTimestamp].map((time) => Date.parse(time ?? ''));
  return Math.max(0, ...times.filter((time) => !Number.isNaN(time)));
}
