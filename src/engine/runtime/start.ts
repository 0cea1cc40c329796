import { constants, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { cancelled, errnoOf, GantryError, runCommand } from '../../kernel/mod.ts';
import type { RuntimePrograms } from './detect.ts';

/**
 * Lets a created container run. Both runtimes let its init wait at `exec.fifo` in their state folder, and `start` only reads that FIFO
 * and removes it: done here it takes 0.3 ms where spawning the runtime takes 6. Falls back to the program when there is no FIFO.
 * `aborted` tells that the container died instead.
 */
export async function startCreatedContainer(programs: RuntimePrograms, stateRoot: string, id: string, signal: AbortSignal): Promise<void> {
  const fifo = join(stateRoot, id, 'exec.fifo');
  let fd: number;
  try {
    // Read-write, so that there is no end-of-file before the init has opened its end.
    fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    await runCommand(programs.path, ['--root', stateRoot, 'start', id], {}, signal);
    return;
  }
  const socket = new Socket({ fd, readable: true, writable: false });
  try {
    await firstByte(socket, signal);
    rmSync(fifo, { force: true });
  } finally {
    socket.destroy();
  }
}

/** Whether the container's init has been let go: a fact that survives a crash of ours. */
export function execFifoPath(stateRoot: string, id: string): string {
  return join(stateRoot, id, 'exec.fifo');
}

function firstByte(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(cancelled(signal));
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('data', () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    socket.once('error', (error) => reject(new GantryError('internal', 'cannot start the container', { cause: error })));
  });
}
