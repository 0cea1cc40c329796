import { stat, truncate, copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { aborted, type Backoff, backoffMs, formatError, GantryError, type Logger, systemClock } from '../kernel/mod.ts';
import { type ChildCommand, type ChildExit, runChild } from './child-process.ts';

export type ChildRole = 'server' | 'agent';

export interface SupervisorOptions {
  readonly logFolder: string;
  readonly roles: readonly ChildRole[];
  /** How to start the program in a role. */
  readonly command: (role: ChildRole) => Omit<ChildCommand, 'logFile'>;
  readonly log: Logger;
}

/** A crash costs a tenth of a second; a child that dies at once again and again costs a try every ten seconds. */
const restartBackoff: Backoff = { initialMs: 100, factor: 2, maxMs: 10_000, jitter: 0 };
/** A child that ran this long before it died starts a new count. */
const stableMs = 10_000;
/** What a child may take to end. Stopping it never stops a container, so there is little to wait for. */
const graceMs = 10_000;
/** Starts that may fail before the first success ends `up` with the child's own error. */
const maxFailedStarts = 3;
const maxLogBytes = 50_000_000;

/** The delay before a child is started again, from how often in a row it died early. */
export function restartDelayMs(earlyDeaths: number): number {
  return backoffMs(restartBackoff, earlyDeaths);
}

/**
 * Keeps the children running until `signal` aborts. `onReady` is called once, when all have been ready.
 * Rejects when a child cannot get ready at the first start; a child that has been ready is restarted for ever.
 */
export async function supervise(options: SupervisorOptions, onReady: () => void, signal: AbortSignal): Promise<void> {
  const failure = new AbortController();
  const stop = AbortSignal.any([signal, failure.signal]);
  const waiting = new Set(options.roles);
  const isReady = (role: ChildRole): void => {
    if (waiting.delete(role) && waiting.size === 0) onReady();
  };
  const keepers = options.roles.map(async (role) => {
    try {
      await keepRunning(role, options, () => isReady(role), stop);
    } catch (error) {
      failure.abort(error);
    }
  });
  const rotation = rotateLogs(options, stop);
  await aborted(stop);
  await Promise.all([...keepers, rotation]);
  if (failure.signal.aborted) throw failure.signal.reason;
}

async function keepRunning(role: ChildRole, { logFolder, command, log }: SupervisorOptions, onReady: () => void, signal: AbortSignal): Promise<void> {
  let [hasBeenReady, earlyDeaths] = [false, 0];
  while (!signal.aborted) {
    const startedAt = Date.now();
    const exit = await runChild({ ...command(role), logFile: join(logFolder, `${role}.log`) }, graceMs, onReady, signal);
    if (signal.aborted) return;
    hasBeenReady ||= exit.wasReady;
    earlyDeaths = Date.now() - startedAt >= stableMs ? 0 : earlyDeaths + 1;
    if (!hasBeenReady && (earlyDeaths >= maxFailedStarts || isHopeless(exit))) throw startFailure(role, logFolder, exit);
    log.warn('child ended, starting it again', { role, reason: exit.reason, failure: exit.failure?.message, delayMs: restartDelayMs(Math.max(0, earlyDeaths - 1)) });
    await systemClock.sleep(restartDelayMs(Math.max(0, earlyDeaths - 1)), signal).catch(() => undefined);
  }
}

/** Whether another try cannot go better: the child has named a mistake of the user's. */
function isHopeless({ failure }: ChildExit): boolean {
  return failure !== undefined && ['invalid', 'unsupported', 'forbidden', 'not-found'].includes(failure.code);
}

function startFailure(role: ChildRole, logFolder: string, exit: ChildExit): GantryError {
  const why = exit.failure === undefined ? `it ended with ${exit.reason}; see ${join(logFolder, `${role}.log`)}` : exit.failure.message;
  return new GantryError(exit.failure?.code ?? 'unavailable', `the ${role} cannot start: ${why}`);
}

/** Keeps each log below twice its limit. The files are open for appending in the children, so they are copied and cut. */
async function rotateLogs({ logFolder, roles, log }: SupervisorOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (const name of [...roles, 'supervisor']) {
      const file = join(logFolder, `${name}.log`);
      try {
        if ((await stat(file)).size < maxLogBytes) continue;
        await copyFile(file, `${file}.1`);
        await truncate(file);
      } catch (error) {
        log.debug('log not rotated', { file, reason: formatError(error) });
      }
    }
    await systemClock.sleep(60_000, signal).catch(() => undefined);
  }
}
