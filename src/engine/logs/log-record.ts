import type { LogRecord } from '../engine.ts';

/** The longest record header: RFC 3339 with nanoseconds and zone, stream, tag, three spaces. */
const maxHeaderBytes = 64;

/**
 * Splits a log file in the CRI format (`time stream F|P text`, one record a line; kubernetes/design CRI "Container Log Format")
 * into records, whatever way the bytes are cut into chunks. A line that is no record is dropped: it can only be a torn write.
 */
export class LogRecordParser {
  #rest: Buffer[] = [];

  push(chunk: Buffer): LogRecord[] {
    const records: LogRecord[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const line = this.#rest.length === 0 ? chunk.subarray(start, end) : Buffer.concat([...this.#rest, chunk.subarray(start, end)]);
      this.#rest = [];
      const record = parseLogLine(line);
      if (record !== undefined) records.push(record);
      start = end + 1;
    }
    if (start < chunk.length) this.#rest.push(Buffer.from(chunk.subarray(start)));
    return records;
  }
}

/** One line without its end, or undefined when it is no record. The text is a view of the line. */
export function parseLogLine(line: Buffer): LogRecord | undefined {
  const first = line.indexOf(32);
  const second = line.indexOf(32, first + 1);
  const third = line.indexOf(32, second + 1);
  if (first < 0 || second < 0 || third < 0 || third > maxHeaderBytes) return undefined;
  const stream = line.toString('latin1', first + 1, second);
  const tag = line.toString('latin1', second + 1, third);
  if ((stream !== 'stdout' && stream !== 'stderr') || (tag !== 'F' && tag !== 'P')) return undefined;
  return { time: line.toString('latin1', 0, first), stream, text: line.subarray(third + 1), isPartial: tag === 'P' };
}

/** The bytes the container wrote: the line end belongs to every record that is not partial. */
export function bytesOf(record: LogRecord): Buffer {
  return record.isPartial ? record.text : Buffer.concat([record.text, newline]);
}

const newline = Buffer.from('\n');

/** RFC 3339 as nanoseconds since the epoch, so that times of different zones and precisions compare. `undefined` when it is no time. */
export function timeNanos(text: string): bigint | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)$/.exec(text);
  const millis = match === null ? Number.NaN : Date.parse(`${match[1]}${match[3]}`);
  if (match === null || Number.isNaN(millis)) return undefined;
  return BigInt(millis) * 1_000_000n + BigInt((match[2] ?? '').padEnd(9, '0'));
}
