import { GantryError, isError } from '../../../kernel/mod.ts';
import { badRequest, expired } from '../errors.ts';
import { type Kind, listPrefix, objectKey } from '../kinds/kind.ts';
import type { StoredObject } from '../objects/stored-object.ts';
import { validateListOptions } from './list-options.ts';
import type { Machine } from './machine.ts';
import type { Selection } from './selection.ts';

/** A page of a list. */
export interface ObjectPage {
  readonly objects: readonly StoredObject[];
  readonly revision: number;
  /** Ask again with it for what the limit left out. */
  readonly continueToken?: string;
  /** Known only without selectors. */
  readonly remaining?: number;
}

interface PageRequest {
  readonly limit: number;
  readonly afterKey: string;
  /** Undefined: as it is now. */
  readonly revision: number | undefined;
  readonly isContinued: boolean;
}

/** How many objects are read from the history at once. */
const historyPage = 500;

/** Lists objects with the semantics of resourceVersion, resourceVersionMatch, limit and continue (Kubernetes API concepts). */
export async function listPage(machine: Machine, kind: Kind, selection: Selection, query: URLSearchParams): Promise<ObjectPage> {
  validateListOptions(query);
  const request = parsePageRequest(machine, query);
  const { limit, afterKey, revision } = request;
  const shown = revision ?? machine.objects.revision;
  const prefix = listPrefix(kind, selection.namespace);
  const page = { objects: [] as StoredObject[], isMore: false };
  // False ends the search: the page is full and there is more.
  const take = (object: StoredObject): boolean => {
    if (!selection.matches(object)) return true;
    if (limit > 0 && page.objects.length === limit) page.isMore = true;
    else page.objects.push(object);
    return !page.isMore;
  };
  // What is there now is taken at one instant: writes while the page is filtered do not show.
  if (revision === undefined) candidates(machine, kind, selection, prefix, afterKey).every(take);
  else for await (const object of history(machine, prefix, request, revision)) if (!take(object)) break;
  const { objects, isMore } = page;
  const last = objects.at(-1);
  if (!isMore || last === undefined) return { objects, revision: shown };
  const token = toToken(shown, last.key);
  return { objects, revision: shown, continueToken: token, ...(selection.isAll ? { remaining: await countAfter(machine, prefix, last.key, request) } : {}) };
}

function candidates(machine: Machine, kind: Kind, selection: Selection, prefix: string, afterKey: string): StoredObject[] {
  if (selection.name === undefined || (selection.namespace === '' && kind.type.isNamespaced)) return [...machine.objects.list(prefix, afterKey)];
  const only = machine.objects.get(objectKey(kind, selection.namespace, selection.name));
  return only === undefined ? [] : [only];
}

async function* history(machine: Machine, prefix: string, request: PageRequest, revision: number): AsyncGenerator<StoredObject, void, undefined> {
  for (let after = request.afterKey; ; ) {
    const page = await readHistory(machine, prefix, { ...request, afterKey: after }, revision, historyPage);
    yield* page.objects;
    const last = page.objects.at(-1);
    if (page.remaining === 0 || last === undefined) return;
    after = last.key;
  }
}

async function countAfter(machine: Machine, prefix: string, key: string, request: PageRequest): Promise<number> {
  const { revision } = request;
  if (revision === undefined) return [...machine.objects.list(prefix, key)].length;
  const page = await readHistory(machine, prefix, { ...request, afterKey: key }, revision, 1);
  return page.objects.length + page.remaining;
}

async function readHistory(machine: Machine, prefix: string, { afterKey, isContinued }: PageRequest, revision: number, limit: number): Promise<{ objects: StoredObject[]; remaining: number }> {
  try {
    return await machine.objects.listAt(prefix, revision, afterKey, limit);
  } catch (error) {
    if (!isError(error, 'conflict')) throw error;
    if (!isContinued) throw expired(`The resourceVersion for the provided list is too old: ${revision} (${machine.objects.compactedRevision})`);
    throw expired(inconsistentMessage, toToken(latest, afterKey));
  }
}

/** Stands in a token for: whatever the revision is then. */
const latest = -1;

const inconsistentMessage =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.';

function toToken(revision: number, afterKey: string): string {
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: revision, start: afterKey })).toString('base64url');
}

function parsePageRequest(machine: Machine, query: URLSearchParams): PageRequest {
  const limit = Number(query.get('limit') ?? '0');
  if (!Number.isInteger(limit) || limit < 0) throw badRequest('limit must be a whole number');
  const current = machine.objects.revision;
  const match = query.get('resourceVersionMatch') ?? '';
  const version = parseRevision(query.get('resourceVersion') ?? '');
  const token = query.get('continue') ?? '';
  if (token !== '') {
    if (version > 0) throw badRequest('specifying resource version is not allowed when using continue');
    const { rv, start } = parseToken(token);
    if (rv > current) throw badRequest('continue key is not valid: it is of another cluster');
    return { limit, afterKey: start, revision: rv === current || rv === latest ? undefined : rv, isContinued: true };
  }
  if (version > current) throw tooLarge(version, current);
  const isExact = match === 'Exact' || (match === '' && limit > 0 && version > 0);
  return { limit, afterKey: '', revision: isExact && version !== current ? version : undefined, isContinued: false };
}

function parseToken(token: string): { rv: number; start: string } {
  try {
    const value = JSON.parse(Buffer.from(token, 'base64url').toString()) as { v?: unknown; rv?: unknown; start?: unknown };
    if (value.v === 'meta.k8s.io/v1' && typeof value.rv === 'number' && typeof value.start === 'string') return { rv: value.rv, start: value.start };
  } catch {
    // Falls through: whatever is wrong with it, the answer is the same.
  }
  throw badRequest('continue key is not valid');
}

/** A resourceVersion parameter as a number; empty is 0. 400 when it is none. */
export function parseRevision(text: string): number {
  if (text === '') return 0;
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`Invalid value: ${JSON.stringify(text)}: resourceVersion must be a number`);
  return Number(text);
}

/** The client has seen something newer than this server: after a restore, or from another server. */
export function tooLarge(version: number, current: number): GantryError {
  return new GantryError('timeout', `Too large resource version: ${version}, current: ${current}`, { retryAfterMs: 1000 });
}
