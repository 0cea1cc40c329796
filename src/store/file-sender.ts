import type { FileHandle } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { cancelled, GantryError, throwIfAborted } from '../kernel/mod.ts';
import type { Buffers } from './buffers.ts';

/**
 * Sends bytes `[start, end)` of a file to a stream, at the stream's pace and without ending it: while one buffer is sent, the other is filled.
 * A read stream would allocate, and the collector clear away, as many bytes as it sends.
 */
export async function sendFile(file: FileHandle, { start, end }: { start: number; end: number }, target: Writable, buffers: Buffers, signal: AbortSignal): Promise<void> {
  let [filling, sending] = [buffers.take(), buffers.take()];
  let sent = Promise.resolve();
  for (let at = start; at < end; ) {
    const { bytesRead } = await file.read(filling, 0, Math.min(filling.length, end - at), at);
    if (bytesRead === 0) throw new GantryError('internal', 'a blob became shorter while it was read');
    at += bytesRead;
    await sent;
    sent = send(target, filling.subarray(0, bytesRead), signal);
    // Told when it is awaited.
    sent.catch(() => undefined);
    [filling, sending] = [sending, filling];
  }
  await sent;
  // Not after a failure: the stream may still hold them.
  buffers.giveBack(filling);
  buffers.giveBack(sending);
}

/** Resolves once the stream no longer needs the bytes. A stream that closes may forget to call back. */
async function send(target: Writable, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onAbort = (): void => reject(cancelled(signal));
  const onClose = (): void => reject(new GantryError('cancelled', 'the stream was closed'));
  signal.addEventListener('abort', onAbort, { once: true });
  target.once('close', onClose);
  target.write(bytes, (error) => (error == null ? resolve() : reject(new GantryError('cancelled', 'the stream was closed', { cause: error }))));
  try {
    await promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
    target.off('close', onClose);
  }
}
