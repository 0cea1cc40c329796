import { isError } from '../../../kernel/mod.ts';
import { expired } from '../errors.ts';
import { type Kind, listPrefix } from '../kinds/kind.ts';
import type { ObjectChange } from '../objects/object-cache.ts';
import type { StoredObject } from '../objects/stored-object.ts';
import { parseRevision, tooLarge } from './list.ts';
import { validateWatchOptions } from './list-options.ts';
import type { Machine } from './machine.ts';
import type { Selection } from './selection.ts';

/** What a watch tells. A bookmark carries only a revision; `isInitialEnd` marks the one after the initial events. */
export type WatchSignal =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: StoredObject }
  | { readonly type: 'BOOKMARK'; readonly revision: number; readonly isInitialEnd: boolean };

export interface WatchRequest {
  readonly revision: number;
  /** Whether the state is told as ADDED events first. */
  readonly hasInitialEvents: boolean;
  readonly allowsBookmarks: boolean;
  readonly isStreamingList: boolean;
}

/** Reads a watch's parameters (Kubernetes API concepts, "Efficient detection of changes", "Streaming lists"). */
export function parseWatchRequest(query: URLSearchParams): WatchRequest {
  validateWatchOptions(query);
  const revision = parseRevision(query.get('resourceVersion') ?? '');
  const initial = query.get('sendInitialEvents');
  const allowsBookmarks = isTrue(query.get('allowWatchBookmarks'));
  const isStreamingList = initial !== null && isTrue(initial);
  return { revision, hasInitialEvents: initial === null ? revision === 0 : isStreamingList, allowsBookmarks, isStreamingList };
}

function isTrue(value: string | null): boolean {
  return value !== null && value !== 'false' && value !== '0';
}

/**
 * Tells `emit` every change of the selection from the requested revision on, without gap or repetition, until the returned function is called.
 * 410 Expired when the revision is older than the history.
 */
export async function startWatch(machine: Machine, kind: Kind, selection: Selection, request: WatchRequest, emit: (signal: WatchSignal) => void): Promise<() => void> {
  const prefix = listPrefix(kind, selection.namespace);
  const { objects } = machine;
  if (request.revision > objects.revision) throw tooLarge(request.revision, objects.revision);
  let last = request.revision;
  let early: ObjectChange[] | undefined = [];
  const tell = (changes: readonly ObjectChange[]): void => {
    for (const change of changes) {
      const signal = change.revision > last ? signalOf(selection, prefix, change) : undefined;
      if (signal !== undefined) emit(signal);
    }
  };
  // Listening first: what is committed while the history is read waits, and is told once.
  const stop = objects.listen(kind.keyPrefix, (changes) => (early === undefined ? tell(changes) : void early.push(...changes)));
  try {
    if (request.hasInitialEvents) {
      last = objects.revision;
      for (const object of objects.list(prefix)) if (selection.matches(object)) emit({ type: 'ADDED', object });
      if (request.isStreamingList && request.allowsBookmarks) emit({ type: 'BOOKMARK', revision: last, isInitialEnd: true });
    } else if (request.revision === 0) {
      // Without initial events and without a revision: from now on.
      last = objects.revision;
    } else if (request.revision < objects.revision) {
      const past = await readPast(machine, prefix, request.revision);
      tell(past);
      last = past.at(-1)?.revision ?? last;
    }
    const waiting = early;
    early = undefined;
    tell(waiting);
    return stop;
  } catch (error) {
    stop();
    throw error;
  }
}

async function readPast(machine: Machine, prefix: string, revision: number): Promise<ObjectChange[]> {
  try {
    return await machine.objects.changesAfter(prefix, revision);
  } catch (error) {
    if (isError(error, 'conflict')) throw expired(`too old resource version: ${revision} (${machine.objects.compactedRevision})`);
    throw error;
  }
}

/** What a change means to a watcher: an object that stops matching is deleted for it, one that starts is added. */
function signalOf(selection: Selection, prefix: string, { revision, current, previous }: ObjectChange): WatchSignal | undefined {
  const key = (current ?? previous)?.key ?? '';
  if (!key.startsWith(prefix)) return undefined;
  const isIn = current !== undefined && selection.matches(current);
  const wasIn = previous !== undefined && selection.matches(previous);
  if (isIn && current !== undefined) return { type: wasIn ? 'MODIFIED' : 'ADDED', object: current };
  if (!wasIn || previous === undefined) return undefined;
  return { type: 'DELETED', object: current === undefined ? previous : previous.shownAt(revision) };
}
