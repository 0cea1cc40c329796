import type { ServerResponse } from 'node:http';
import { GantryError, isError } from '../../../kernel/mod.ts';
import { badRequest } from '../errors.ts';
import type { Kind } from '../kinds/kind.ts';
import type { Machine } from '../operations/machine.ts';
import { parseSelection, type Selection } from '../operations/selection.ts';
import { parseWatchRequest, startWatch, type WatchSignal } from '../operations/watch.ts';
import { type Status, statusOf } from '../status.ts';
import type { Exchange } from './exchange.ts';
import { Representation } from './representation.ts';
import { watchFrame } from './watch-frame.ts';

/** How often a client that allows bookmarks is told the current revision. */
const bookmarkIntervalMs = 30_000;

/** Marks the bookmark after the initial events of a streamed list. */
const initialEnd = { 'k8s.io/initial-events-end': 'true' };

/** Without a timeout of the client's, a watch ends after 30 to 60 minutes, so that not all end together. */
const minTimeoutSeconds = 1800;

/** A client that is so many bytes behind is cut off; it lists again. */
const maxBehindBytes = 64 * 1024 * 1024;

/** Streams watch events, as JSON lines or protobuf frames, until the client, the time limit or the server ends it. */
export async function serveWatch(machine: Machine, kind: Kind, exchange: Exchange): Promise<void> {
  const { response, info, query, signal, protobuf } = exchange;
  const shown = Representation.of(kind, exchange, machine.clock.now(), true);
  const selection: Selection = parseSelection(kind, kind.type.isNamespaced ? info.namespace : '', query);
  const watch = parseWatchRequest(query);
  const timeoutSeconds = parseTimeout(query);
  const frame = watchFrame(shown.asked.encoding);
  let isFirst = true;
  const write = (bytes: string | Uint8Array): void => {
    if (behindBytes(response) > maxBehindBytes) response.destroy();
    else response.write(bytes);
  };
  const emit = (event: WatchSignal): void => {
    if (event.type === 'BOOKMARK') return write(frame('BOOKMARK', shown.bookmark(event.revision, event.isInitialEnd ? initialEnd : undefined)));
    write(frame(event.type, shown.watched(event.object, isFirst)));
    isFirst = false;
  };
  response.writeHead(200, { 'content-type': shown.asked.encoding === 'protobuf' ? `${shown.contentType};stream=watch` : shown.contentType });
  response.flushHeaders();
  const stop = await startOrTell(machine, kind, selection, watch, emit, (status) => write(frame('ERROR', shown.asked.encoding === 'protobuf' ? protobuf.encode(status) : JSON.stringify(status))));
  if (stop === undefined) return void response.end();
  const bookmarks = watch.allowsBookmarks ? setInterval(() => write(frame('BOOKMARK', shown.bookmark(machine.objects.revision, undefined))), bookmarkIntervalMs) : undefined;
  await ended(signal, timeoutSeconds * 1000);
  clearInterval(bookmarks);
  stop();
  response.end();
}

/** Starts the watch; one that is too old is told so as an ERROR event, as Kubernetes does. */
async function startOrTell(machine: Machine, kind: Kind, selection: Selection, watch: ReturnType<typeof parseWatchRequest>, emit: (event: WatchSignal) => void, tell: (status: Status) => void): Promise<(() => void) | undefined> {
  try {
    return await startWatch(machine, kind, selection, watch, emit);
  } catch (error) {
    if (!isError(error, 'conflict', 'timeout')) throw error;
    tell(statusOf(error));
    return undefined;
  }
}

/** What waits to be sent; an HTTP/2 response keeps it in its stream. */
function behindBytes(response: ServerResponse): number {
  const stream = 'stream' in response ? (response.stream as { writableLength?: number }) : undefined;
  return stream?.writableLength ?? response.writableLength;
}

function parseTimeout(query: URLSearchParams): number {
  const text = query.get('timeoutSeconds');
  if (text === null) return minTimeoutSeconds * (1 + Math.random());
  if (!/^\d{1,9}$/.test(text)) throw badRequest('timeoutSeconds must be a whole number');
  return Math.min(Number(text), 2_000_000) || minTimeoutSeconds;
}

function ended(signal: AbortSignal, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, timeoutMs);
    signal.addEventListener('abort', finish, { once: true });
  });
}

/** The reason open watches end with when the server stops. */
export function shuttingDown(): GantryError {
  return new GantryError('unavailable', 'the API server is shutting down');
}
