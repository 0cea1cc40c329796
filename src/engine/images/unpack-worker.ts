/** The thread of `unpackBlob`: reads plain tars from descriptors and unpacks them, one after the other. */
import { readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { GantryError, toGantryError } from '../../kernel/mod.ts';
import type { UnpackAnswer, UnpackTask } from './unpack-blob.ts';
import { unpackLayer } from './unpack-layer.ts';

const chunk = Buffer.allocUnsafeSlow(1 << 20);

/** The same memory for each chunk: nothing of it is garbage. */
async function* chunksOf(fd: number, stop: Int32Array): AsyncGenerator<Buffer> {
  for (let count = readSync(fd, chunk); count > 0; count = readSync(fd, chunk)) {
    if (Atomics.load(stop, 0) !== 0) throw new GantryError('cancelled', 'the layer is not wanted any more');
    yield chunk.subarray(0, count);
  }
}

parentPort?.on('message', async ({ fd, folder, stop, ...options }: UnpackTask) => {
  let answer: UnpackAnswer;
  try {
    answer = { layer: await unpackLayer(chunksOf(fd, stop), folder, options) };
  } catch (error) {
    const { code, message, details } = toGantryError(error);
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : undefined;
    answer = { problem: { code, message: cause === undefined ? message : `${message}: ${cause}`, details } };
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
  parentPort?.postMessage(answer);
});
