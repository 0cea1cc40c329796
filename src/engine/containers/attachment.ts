import type { Attachment } from '../engine.ts';
import { bytesOf } from '../logs/log-record.ts';
import { endOfLog, type LogWriterState, readRecords } from '../logs/log-reader.ts';
import { openAttachInput } from '../runtime/attach-input.ts';
import type { ContainerEntry } from './container-entry.ts';
import { LateWriter } from './late-writer.ts';

/** Whether more log may come. */
export function writerState(entry: ContainerEntry): LogWriterState {
  return {
    isLive: () => entry.isRunning || entry.status.state === 'restarting',
    onEnd: (listener) => entry.onChange(listener),
  };
}

/**
 * Output from now on and input. Output is what the monitor writes to the log, so a slow reader holds up nobody and costs no memory;
 * it ends with the run that is on now, or with the next one when none is.
 */
export async function openAttachment(entry: ContainerEntry, signal: AbortSignal): Promise<Attachment> {
  const from = await endOfLog(entry.paths.logs);
  const exitsBefore = entry.exitCount;
  const closing = new AbortController();
  const either = AbortSignal.any([signal, closing.signal]);
  const state: LogWriterState = {
    isLive: () => entry.exitCount === exitsBefore && !entry.isRemoved,
    onEnd: (listener) => entry.onChange(listener),
  };
  const stdin = entry.spec.stdin ? new LateWriter(() => waitForStart(entry, either, () => openAttachInput(entry.paths))) : undefined;
  return {
    output: readOutput(entry, from, state, either),
    stdin,
    [Symbol.asyncDispose]: async () => {
      closing.abort();
      stdin?.destroy();
    },
  };
}

async function* readOutput(entry: ContainerEntry, from: Awaited<ReturnType<typeof endOfLog>>, state: LogWriterState, signal: AbortSignal): AsyncGenerator<{ stream: 'stdout' | 'stderr'; data: Buffer }> {
  for await (const records of readRecords(entry.paths.logs, from, state, signal)) {
    for (const record of records) yield { stream: record.stream, data: bytesOf(record) };
  }
}

async function waitForStart<T>(entry: ContainerEntry, signal: AbortSignal, open: () => T): Promise<T | undefined> {
  return (await entry.until(() => entry.isRunning, signal)) ? open() : undefined;
}
