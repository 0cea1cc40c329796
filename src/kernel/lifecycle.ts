import { GantryError } from './errors.ts';
import type { Logger } from './log.ts';

/** A long-lived part. `run` returns when the signal aborts; returning or throwing earlier stops the whole program. */
export interface Service {
  readonly name: string;
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when the part can serve; the next group starts then. Default: at once. */
  ready?(signal: AbortSignal): Promise<void>;
}

/**
 * Runs groups of services in order: a group starts when all of the one before are ready, and stops before it.
 * Resolves when everything has stopped after `signal`; rejects with the first failure of any part, everything else stopped.
 */
export async function runServices(groups: readonly (readonly Service[])[], log: Logger, signal: AbortSignal): Promise<void> {
  const failure = new AbortController();
  const started: { controller: AbortController; runs: Promise<void>[] }[] = [];
  const stopRequested = AbortSignal.any([signal, failure.signal]);
  try {
    for (const group of groups) {
      if (stopRequested.aborted) break;
      const controller = new AbortController();
      const runs = group.map((service) => runOne(service, controller.signal, failure, log));
      started.push({ controller, runs });
      await Promise.race([aborted(stopRequested), Promise.all(group.map((service) => service.ready?.(stopRequested)))]);
    }
    await aborted(stopRequested);
  } catch (error) {
    failure.abort(error);
  }
  for (const { controller, runs } of started.toReversed()) {
    controller.abort(new GantryError('cancelled', 'shutting down'));
    await Promise.allSettled(runs);
  }
  if (failure.signal.aborted) throw failure.signal.reason;
}

async function runOne(service: Service, signal: AbortSignal, failure: AbortController, log: Logger): Promise<void> {
  try {
    await service.run(signal);
    if (!signal.aborted) failure.abort(new GantryError('internal', `${service.name} stopped by itself`));
  } catch (error) {
    if (signal.aborted) return;
    log.error('service failed', { service: service.name, err: error });
    failure.abort(new GantryError('internal', `${service.name} failed`, { cause: error }));
  }
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
