import { cancelled } from '../kernel/mod.ts';
import type { ObjectStore, StoreEvent } from './object-store.ts';

/** Every change after `revision` of keys with `prefix`, without gap or repetition, until the signal aborts. `conflict` with reason `Expired` when too old. */
export async function* watchStore(store: ObjectStore, prefix: string, revision: number, signal: AbortSignal): AsyncGenerator<StoreEvent, void, undefined> {
  let waiting: StoreEvent[] = [];
  let wake: () => void = () => {};
  const unsubscribe = store.subscribe((events) => {
    for (const event of events) if (event.key.startsWith(prefix)) waiting.push(event);
    wake();
  });
  const onAbort = (): void => wake();
  signal.addEventListener('abort', onAbort);
  try {
    let last = revision;
    // Subscribed first: what commits while the history is read is in both, and told once.
    for (const event of await store.eventsAfter(prefix, revision)) {
      last = event.revision;
      yield event;
    }
    for (;;) {
      if (signal.aborted) throw cancelled(signal);
      const events = waiting;
      waiting = [];
      for (const event of events) {
        if (event.revision <= last) continue;
        last = event.revision;
        yield event;
      }
      if (waiting.length === 0 && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    unsubscribe();
    signal.removeEventListener('abort', onAbort);
  }
}
