import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../../kernel/mod.ts';
import { readTar } from '../../wire/mod.ts';
import { LayerGuard } from './layer-guard.ts';
import { LayerWriter } from './layer-writer.ts';
import { unpackError } from './unpack-error.ts';
import type { UnpackOptions } from './unpack-layer.ts';

/** Members between which other work gets a turn. */
const turnAfter = 64;

/**
 * Unpacks a build context into a new, empty folder, which itself stays as it is, in this process: for the few files of most contexts, starting a
 * program takes longer than the work. Files belong to this process, because builds do not ask whose they were; modes, whole times and
 * attributes are the archive's.
 */
export async function unpackContext(tar: AsyncIterable<Uint8Array>, folder: string, options: UnpackOptions, signal: AbortSignal): Promise<void> {
  const guard = new LayerGuard(options.what, options.limits, false);
  const owner = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  using writer = new LayerWriter(folder);
  let count = 0;
  for await (const { header, content } of readTar(tar)) {
    throwIfAborted(signal);
    const member = guard.admit(header);
    if (member.kind !== 'entry' || member.header.path === '.') continue;
    try {
      await writer.write({ ...member.header, ...owner }, content);
    } catch (error) {
      throwIfAborted(signal);
      throw unpackError(options.what, header.path, error);
    }
    count += 1;
    if (count % turnAfter === 0) await setImmediate();
  }
  writer.finish((path, error) => unpackError(options.what, path, error));
}
