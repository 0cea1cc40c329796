import type { Attachment, LogRecord } from '../engine.ts';
import { bytesOf } from '../logs/log-record.ts';
import { endOfLog, type LogWriterState, readRecords } from '../logs/log-reader.ts';
import { openAttachInput } from '../runtime/attach-input.ts';
import type { ContainerEntry } from './container-entry.ts';
import { LateWriter } from '../runtime/late-writer.ts';

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
    yield* joined(records);
  }
}

/** Lines of one stream that were read together, as one piece: a loud program would otherwise cost a packet for each. */
function* joined(records: readonly LogRecord[]): Generator<{ stream: 'stdout' | 'stderr'; data: Buffer }> {
  for (let at = 0; at < records.length; ) {
    const { stream } = records[at] as LogRecord;
    const parts: Buffer[] = [];
    for (let record = records[at]; record?.stream === stream; record = records[(at += 1)]) parts.push(bytesOf(record));
    yield { stream, data: Buffer.concat(parts) };
  }
}

async function waitForStart<T>(entry: ContainerEntry, signal: AbortSignal, open: () => T): Promise<T | undefined> {
  return (await entry.until(() => entry.isRunning, signal)) ? open() : undefined;
}
