import type { Events } from '../engine.ts';
import type { EngineEvent } from '../types.ts';

/** How many past events are kept for `since`. */
const keptEvents = 1000;
/** What a subscriber may be behind before its oldest events are dropped. */
const maxBacklog = 10_000;

/** Events of this process's time, delivered to any number of subscribers. Not durable: whoever needs certainty also lists. */
export class EventLog implements Events {
  #kept: EngineEvent[] = [];
  #lastNanos = 0n;
  readonly #subscribers = new Set<(event: EngineEvent) => void>();

  publish(event: Omit<EngineEvent, 'timeNanos'>): void {
    const complete = { ...event, timeNanos: this.#now() };
    this.#kept.push(complete);
    if (this.#kept.length > keptEvents * 2) this.#kept = this.#kept.slice(-keptEvents);
    for (const deliver of this.#subscribers) deliver(complete);
  }

  /** The subscription begins with the call, not with the first read. */
  subscribe(options: { sinceNanos?: bigint }, signal: AbortSignal): AsyncIterable<EngineEvent> {
    const { sinceNanos } = options;
    const queue = sinceNanos === undefined ? [] : this.#kept.slice(-keptEvents).filter(({ timeNanos }) => timeNanos >= sinceNanos);
    let wake: (() => void) | undefined;
    const deliver = (event: EngineEvent): void => {
      if (queue.length >= maxBacklog) queue.shift();
      queue.push(event);
      wake?.();
    };
    this.#subscribers.add(deliver);
    const stop = (): void => {
      this.#subscribers.delete(deliver);
      wake?.();
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    return drain(queue, (resolve) => (wake = resolve), stop, signal);
  }

  /** Strictly growing, so that `since` the last event seen never repeats or skips one. */
  #now(): bigint {
    const now = BigInt(Date.now()) * 1_000_000n + (process.hrtime.bigint() % 1_000_000n);
    this.#lastNanos = now > this.#lastNanos ? now : this.#lastNanos + 1n;
    return this.#lastNanos;
  }
}

async function* drain(queue: EngineEvent[], onWake: (resolve: () => void) => void, stop: () => void, signal: AbortSignal): AsyncGenerator<EngineEvent> {
  try {
    for (;;) {
      const event = queue.shift();
      if (event !== undefined) {
        yield event;
        continue;
      }
      if (signal.aborted) return;
      await new Promise<void>((resolve) => onWake(resolve));
    }
  } finally {
    stop();
    signal.removeEventListener('abort', stop);
  }
}
