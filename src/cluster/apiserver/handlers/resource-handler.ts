import { GantryError } from '../../../kernel/mod.ts';
import { methodNotAllowed, objectNotFound, pathNotFound } from '../errors.ts';
import { type Kind, objectKey, type Verb } from '../kinds/kind.ts';
import type { StoredObject } from '../objects/stored-object.ts';
import { applyObject } from '../operations/apply.ts';
import { createObject } from '../operations/create.ts';
import { deleteObject, parseDeleteRequest } from '../operations/delete.ts';
import { listPage, parseRevision, tooLarge } from '../operations/list.ts';
import type { Machine, WriteOptions } from '../operations/machine.ts';
import { patchObject, patchTypes } from '../operations/patch.ts';
import { parseWriteParameters } from '../operations/request-options.ts';
import { parseSelection } from '../operations/selection.ts';
import { replaceObject, type WritePart } from '../operations/update.ts';
import { mediaTypeOf, parseJson, parseYaml, readBody } from '../requests/body.ts';
import { addWarnings, sendText } from '../requests/respond.ts';
import { successStatus } from '../status.ts';
import type { Exchange } from './exchange.ts';
import { readValue, readWrittenValue, reportDuplicates } from './read-body.ts';
import { Representation, sendValue } from './representation.ts';
import { serveWatch } from './watch-handler.ts';

/** Answers requests about a kind's objects and their status. */
export async function serveResource(machine: Machine, kind: Kind, exchange: Exchange, part: WritePart): Promise<void> {
  const { info } = exchange;
  if (part === 'main' && !kind.verbs.includes(info.verb as Verb)) throw methodNotAllowed();
  if (kind.type.isNamespaced && info.namespace === '' && info.verb !== 'list' && info.verb !== 'watch') throw pathNotFound();
  if (!kind.type.isNamespaced && info.namespace !== '' && kind.type.plural !== 'namespaces') throw pathNotFound();
  if (info.name === '' && (info.verb === 'update' || info.verb === 'patch')) throw methodNotAllowed();
  switch (info.verb) {
    case 'get':
      return serveGet(machine, kind, exchange);
    case 'list':
      return serveList(machine, kind, exchange);
    case 'watch':
      return serveWatch(machine, kind, exchange);
    case 'create':
      if (info.name !== '') throw methodNotAllowed();
      return serveWrite(machine, kind, exchange, 201, async (options) => createObject(machine, kind, info.namespace, await readWrittenValue(exchange, kind, options), options));
    case 'update':
      return serveWrite(machine, kind, exchange, 200, async (options) => replaceObject(machine, kind, placeOf(kind, exchange), await readWrittenValue(exchange, kind, options), part, options));
    case 'patch':
      if (mediaTypeOf(exchange.request.headers['content-type']) === applyMediaType) return serveApply(machine, kind, exchange, part);
      return serveWrite(machine, kind, exchange, 200, (options) => servePatch(machine, kind, exchange, part, options));
    case 'delete':
      return serveDelete(machine, kind, exchange);
    case 'deletecollection':
      return serveDeleteCollection(machine, kind, exchange);
    default:
      throw methodNotAllowed();
  }
}

/** Where a request's object is. */
export function placeOf(kind: Kind, { info }: Exchange): { namespace: string; name: string } {
  return { namespace: kind.type.isNamespaced ? info.namespace : '', name: info.name };
}

async function serveGet(machine: Machine, kind: Kind, exchange: Exchange): Promise<void> {
  const shown = Representation.of(kind, exchange, machine.clock.now());
  const { namespace, name } = placeOf(kind, exchange);
  const wanted = parseRevision(exchange.query.get('resourceVersion') ?? '');
  if (wanted > machine.objects.revision) throw tooLarge(wanted, machine.objects.revision);
  const stored = machine.objects.get(objectKey(kind, namespace, name));
  if (stored === undefined) throw objectNotFound(kind.type, name);
  await sendShown(exchange, 200, shown, shown.object(stored));
}

async function serveList(machine: Machine, kind: Kind, exchange: Exchange): Promise<void> {
  const { info, query } = exchange;
  const shown = Representation.of(kind, exchange, machine.clock.now());
  const page = await listPage(machine, kind, parseSelection(kind, kind.type.isNamespaced ? info.namespace : '', query), query);
  const metadata = {
    resourceVersion: String(page.revision),
    ...(page.continueToken === undefined ? {} : { continue: page.continueToken }),
    ...(page.remaining === undefined ? {} : { remainingItemCount: page.remaining }),
  };
  await sendShown(exchange, 200, shown, shown.list(page.objects, metadata));
}

/** Runs a write with the query's options and answers with the object. */
export async function serveWrite(machine: Machine, kind: Kind, exchange: Exchange, code: number, write: (options: WriteOptions) => Promise<StoredObject>): Promise<void> {
  const shown = Representation.of(kind, exchange, machine.clock.now());
  const options = parseWriteOptions(exchange);
  const stored = await write(options);
  addWarnings(exchange.response, [...new Set(options.warnings)]);
  await sendShown(exchange, code, shown, shown.object(stored));
}

/** dryRun, fieldValidation and fieldManager of the query. */
export function parseWriteOptions({ query, request, user, info }: Exchange): WriteOptions {
  const kind = info.verb === 'patch' ? 'PatchOptions' : info.verb === 'update' ? 'UpdateOptions' : 'CreateOptions';
  return { ...parseWriteParameters(kind, query, request.headers['user-agent'] ?? 'unknown'), user, warnings: [] };
}

async function servePatch(machine: Machine, kind: Kind, exchange: Exchange, part: WritePart, options: WriteOptions): Promise<StoredObject> {
  const mediaType = mediaTypeOf(exchange.request.headers['content-type']);
  const type = patchTypes[mediaType as keyof typeof patchTypes];
  if (type === undefined) {
    throw new GantryError('unsupported', `the body of the request was in an unknown format - accepted media types include: ${[...Object.keys(patchTypes), applyMediaType].join(', ')}`);
  }
  const text = (await readBody(exchange.request)).toString();
  const patch = parseJson(text);
  if (type !== 'json') reportDuplicates(text, kind, options);
  return patchObject(machine, kind, placeOf(kind, exchange), type, patch, part, options);
}

const applyMediaType = 'application/apply-patch+yaml';

async function serveApply(machine: Machine, kind: Kind, exchange: Exchange, part: WritePart): Promise<void> {
  const { request, response, query } = exchange;
  const shown = Representation.of(kind, exchange, machine.clock.now());
  const options = parseWriteOptions(exchange);
  const config = parseYaml((await readBody(request)).toString());
  const isForced = query.get('force') === 'true' || query.get('force') === '1';
  const { object, isNew } = await applyObject(machine, kind, placeOf(kind, exchange), { config, isForced }, part, options);
  addWarnings(response, [...new Set(options.warnings)]);
  await sendShown(exchange, isNew ? 201 : 200, shown, shown.object(object));
}

async function serveDelete(machine: Machine, kind: Kind, exchange: Exchange): Promise<void> {
  const { query } = exchange;
  const shown = Representation.of(kind, exchange, machine.clock.now());
  const result = await deleteObject(machine, kind, placeOf(kind, exchange), parseDeleteRequest(await readValue(exchange), query));
  const { metadata } = result.object.object;
  if (!result.isGone || kind.type.kind === 'Pod') return sendShown(exchange, 200, shown, shown.object(result.object));
  await sendValue(exchange, 200, successStatus({ name: metadata.name, group: kind.type.group, kind: kind.type.plural, uid: metadata.uid }));
}

async function serveDeleteCollection(machine: Machine, kind: Kind, exchange: Exchange): Promise<void> {
  const { info, query } = exchange;
  const shown = Representation.of(kind, exchange, machine.clock.now());
  const deletion = parseDeleteRequest(await readValue(exchange), query);
  const page = await listPage(machine, kind, parseSelection(kind, info.namespace, query), query);
  const deleted: StoredObject[] = [];
  await Promise.all(
    page.objects.map(async ({ object }) => {
      const place = { namespace: object.metadata.namespace ?? '', name: object.metadata.name };
      try {
        deleted.push((await deleteObject(machine, kind, place, deletion)).object);
      } catch (error) {
        // Somebody else was quicker: it is gone, as asked.
        if (!(error instanceof GantryError) || error.code !== 'not-found') throw error;
      }
    }),
  );
  await sendShown(exchange, 200, shown, shown.list(deleted, { resourceVersion: String(machine.objects.revision) }));
}

function sendShown({ request, response }: Exchange, code: number, shown: Representation, body: string | Uint8Array): Promise<void> {
  return sendText(request, response, code, body, shown.contentType);
}
