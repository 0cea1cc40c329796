import { flushCompileCache } from 'node:module';
import { formatError, GantryError, toGantryError } from '../kernel/mod.ts';
import type { ChildMessage } from './child-process.ts';

const cacheDelayMs = 1000;

/**
 * Runs `work` as the whole of this process: SIGTERM, SIGINT or the end of the supervisor abort its signal.
 * A supervised process tells its supervisor when it is ready and why it fails. `outlivesParent`: whoever started it may leave.
 */
export async function runRole(work: (onReady: () => void, signal: AbortSignal) => Promise<void>, options: { outlivesParent: boolean }): Promise<void> {
  const stop = new AbortController();
  const onSignal = (): void => stop.abort(new GantryError('cancelled', 'stopped by a signal'));
  process.once('SIGTERM', onSignal);
  process.once('SIGINT', onSignal);
  if (!options.outlivesParent) process.once('disconnect', () => stop.abort(new GantryError('cancelled', 'the supervisor ended')));
  try {
    await work(() => {
      void tell({ type: 'ready' });
      // A process that is killed would leave no compiled code behind for its successor.
      setTimeout(flushCompileCache, cacheDelayMs).unref();
    }, stop.signal);
  } catch (error) {
    if (stop.signal.aborted) return;
    const { code } = toGantryError(error);
    await tell({ type: 'failed', code, message: formatError(error) });
    throw error;
  } finally {
    process.removeListener('SIGTERM', onSignal);
    process.removeListener('SIGINT', onSignal);
    if (process.connected) process.disconnect();
  }
}

/** Resolves when the message is handed over; without a supervisor there is no one to tell. */
function tell(message: ChildMessage): Promise<void> {
  if (process.send === undefined || !process.connected) return Promise.resolve();
  return new Promise((resolve) => process.send?.(message, () => resolve()));
}

