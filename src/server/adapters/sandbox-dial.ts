import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Engine } from '../../engine/mod.ts';
import { descriptors } from '../../host/mod.ts';
import { cancelled, GantryError } from '../../kernel/mod.ts';

const internetFamily = 2;
const streamCloseOnExec = 1 | 0o2000000;

/**
 * A TCP connection to a port of the pod's own loopback. A socket belongs to the network namespace it was made in, wherever it is
 * used later: only its making happens inside, connecting is asynchronous as ever. `unavailable` when nothing listens.
 */
export async function dialInSandbox(engine: Pick<Engine, 'sandboxes'>, sandboxId: string, port: number, signal: AbortSignal): Promise<Duplex> {
  const fd = engine.sandboxes.enterNetwork(sandboxId, () => descriptors.socket(internetFamily, streamCloseOnExec, 0));
  const socket = new Socket({ fd, allowHalfOpen: true });
  const onAbort = (): void => void socket.destroy(cancelled(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect({ host: '127.0.0.1', port }, () => resolve());
    });
    return socket;
  } catch (error) {
    if (signal.aborted) throw cancelled(signal);
    throw new GantryError('unavailable', `cannot connect to port ${port} of the pod`, { cause: error });
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
