import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { connectPacketWriter } from '../../host/mod.ts';
import { errnoOf, GantryError } from '../../kernel/mod.ts';
import type { TerminalSize } from '../engine.ts';
import type { ContainerPaths } from '../paths.ts';

/** What conmon reads of its attach socket at once; more in one packet is lost. */
const maxPacketBytes = 8192;

/** A writer of the container's stdin. Ending it closes the container's stdin unless that stays open by the spec. */
export function openAttachInput(paths: ContainerPaths): Writable {
  return connectPacketWriter(paths.attachSocket, maxPacketBytes);
}

/** Sets the size of the container's terminal. */
export async function resizeContainerTerminal(paths: ContainerPaths, size: TerminalSize): Promise<void> {
  await writeControl(paths, `1 ${size.height} ${size.width}\n`);
}

/** Makes the monitor open its log file anew, after the old one was moved away. */
export async function reopenLog(paths: ContainerPaths): Promise<void> {
  await writeControl(paths, '2 0 0\n');
}

/** conmon's control FIFO takes lines of message type and two numbers. `conflict` when no monitor reads it. */
async function writeControl(paths: ContainerPaths, line: string): Promise<void> {
  try {
    await using fifo = await open(paths.controlFifo, constants.O_WRONLY | constants.O_NONBLOCK);
    await fifo.write(line);
  } catch (error) {
    if (errnoOf(error) === 'ENXIO' || errnoOf(error) === 'ENOENT') throw new GantryError('conflict', 'the container is not running', { cause: error });
    throw error;
  }
}
