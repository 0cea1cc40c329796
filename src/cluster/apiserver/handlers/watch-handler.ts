import type { ServerResponse } from 'node:http';
import { apiVersionOf } from '../../../api/mod.ts';
import { GantryError, isError } from '../../../kernel/mod.ts';
import { badRequest } from '../errors.ts';
import type { Kind } from '../kinds/kind.ts';
import type { Machine } from '../operations/machine.ts';
import { parseSelection, type Selection } from '../operations/selection.ts';
import { parseWatchRequest, startWatch, type WatchSignal } from '../operations/watch.ts';
import { statusOf } from '../status.ts';
import type { Exchange } from './exchange.ts';
import { type Form, negotiateForm, renderWatched } from './representation.ts';

/** How often a client that allows bookmarks is told the current revision. */
const bookmarkIntervalMs = 30_000;

/** Without a timeout of the client's, a watch ends after 30 to 60 minutes, so that not all end together. */
const minTimeoutSeconds = 1800;

/** A client that is so many bytes behind is cut off; it lists again. */
const maxBehindBytes = 64 * 1024 * 1024;

/** Streams watch events as JSON, one a line, until the client, the time limit or the server ends it. */
export async function serveWatch(machine: Machine, kind: Kind, exchange: Exchange): Promise<void> {
  const { response, info, query, request, signal } = exchange;
  const form = negotiateForm(request.headers.accept);
  const selection: Selection = parseSelection(kind, kind.type.isNamespaced ? info.namespace : '', query);
  const watch = parseWatchRequest(query);
  const timeoutSeconds = parseTimeout(query);
  let isFirst = true;
  const write = (text: string): void => {
    if (behindBytes(response) > maxBehindBytes) response.destroy();
    else response.write(text);
  };
  const emit = (event: WatchSignal): void => {
    if (event.type === 'BOOKMARK') return write(bookmarkText(kind, form, event.revision, event.isInitialEnd));
    write(`{"type":"${event.type}","object":${renderWatched(kind, event.object, form, machine.clock.now(), isFirst)}}\n`);
    isFirst = false;
  };
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
  const stop = await startOrTell(machine, kind, selection, watch, emit, write);
  if (stop === undefined) return void response.end();
  const bookmarks = watch.allowsBookmarks ? setInterval(() => write(bookmarkText(kind, form, machine.objects.revision, false)), bookmarkIntervalMs) : undefined;
  await ended(signal, timeoutSeconds * 1000);
  clearInterval(bookmarks);
  stop();
  response.end();
}

/** Starts the watch; one that is too old is told so as an ERROR event, as Kubernetes does. */
async function startOrTell(machine: Machine, kind: Kind, selection: Selection, watch: ReturnType<typeof parseWatchRequest>, emit: (event: WatchSignal) => void, write: (text: string) => void): Promise<(() => void) | undefined> {
  try {
    return await startWatch(machine, kind, selection, watch, emit);
  } catch (error) {
    if (!isError(error, 'conflict', 'timeout')) throw error;
    write(`${JSON.stringify({ type: 'ERROR', object: statusOf(error) })}\n`);
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

function bookmarkText(kind: Kind, form: Form, revision: number, isInitialEnd: boolean): string {
  const metadata = { resourceVersion: String(revision), creationTimestamp: null, ...(isInitialEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}) };
  const object =
    form === 'table'
      ? { kind: 'Table', apiVersion: 'meta.k8s.io/v1', metadata: { resourceVersion: String(revision) }, columnDefinitions: [], rows: [] }
      : { kind: form === 'partial' ? 'PartialObjectMetadata' : kind.type.kind, apiVersion: form === 'partial' ? 'meta.k8s.io/v1' : apiVersionOf(kind.type), metadata };
  return `${JSON.stringify({ type: 'BOOKMARK', object })}\n`;
}

/** The reason open watches end with when the server stops. */
export function shuttingDown(): GantryError {
  return new GantryError('unavailable', 'the API server is shutting down');
}
