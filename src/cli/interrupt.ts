import { GantryError } from '../kernel/mod.ts';

/** Aborts with SIGINT or SIGTERM, so that following commands end cleanly. */
export function interruptSignal(): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(new GantryError('cancelled', 'interrupted')));
  return stop.signal;
}
