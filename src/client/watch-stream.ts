import type { Readable } from 'node:stream';
import type { KubeObject, WatchEvent } from '../api/mod.ts';
import { GantryError } from '../kernel/mod.ts';
import { toStatusError } from './status-error.ts';
import { toTransportError } from './transport.ts';

/** The complete lines of a byte stream, without their ends. A last line without an end is dropped: it was cut off. */
export async function* readLines(body: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  for await (const chunk of body) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const line = chunk.subarray(start, end);
      yield (rest.length === 0 ? line : Buffer.concat([...rest, line])).toString();
      rest = [];
      start = end + 1;
    }
    if (start < chunk.length) rest.push(chunk.subarray(start));
  }
}

/** Reads the watch protocol: one JSON event a line. An ERROR event is thrown by its Status. Destroys the body when left early. */
export async function* readWatch<T extends KubeObject>(body: Readable, what: string, signal: AbortSignal): AsyncGenerator<WatchEvent<T>> {
  try {
    for await (const line of readLines(body)) {
      if (line === '') continue;
      yield toWatchEvent<T>(JSON.parse(line), what);
    }
  } catch (error) {
    throw toTransportError(error, what, signal);
  } finally {
    body.destroy();
  }
}

function toWatchEvent<T extends KubeObject>(raw: { type?: string; object?: KubeObject & { code?: number } }, what: string): WatchEvent<T> {
  switch (raw.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type: raw.type, object: raw.object as (WatchEvent<T> & { type: 'ADDED' })['object'] };
    case 'BOOKMARK':
      return { type: 'BOOKMARK', resourceVersion: raw.object?.metadata?.resourceVersion ?? '' };
    case 'ERROR':
      throw toStatusError(raw.object?.code ?? 500, JSON.stringify(raw.object), undefined, what);
    case undefined:
    default:
      throw new GantryError('internal', `${what}: unknown watch event ${raw.type ?? ''}`);
  }
}
