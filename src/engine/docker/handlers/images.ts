import { type Digest, familiarImageReference, formatImageReference, parseImageReference } from '../../../api/mod.ts';
import { GantryError, isError, toGantryError } from '../../../kernel/mod.ts';
import { checkPlatform, parsePlatform, parsePlatformJson } from '../../images/platform.ts';
import type { Image, RemovedImage, TransferProgress } from '../../images/types.ts';
import type { Credentials } from '../../ports.ts';
import { type Call, type DockerServices, openJsonStream, sendEmpty, sendJson } from '../call.ts';
import { errorMessage } from '../docker-error.ts';
import { flagFilter, lacksLabels, matchesAny, matchesLabels, parseFilters, parseTime } from '../filters.ts';
import { importImage, type ImportQuery } from './import.ts';
import { parseRegistryAuth } from '../registry-auth.ts';
import { flag, list, optionalFlag, refusedRoute, type Route, route, text } from '../route.ts';
import { createdSeconds, historyView, imageInspectView, imageSummaryView, sharedSizes } from '../views/image.ts';

const imageFilters = ['before', 'dangling', 'label', 'label!', 'reference', 'since', 'until'];

function listImages(call: Call, { images }: DockerServices, query: { filters: string | undefined; 'shared-size': boolean }): void {
  const filters = parseFilters(query.filters, imageFilters);
  const dangling = flagFilter(filters, 'dangling');
  const created = (name: string): number => createdSeconds(images.get(name).config);
  const before = filters.get('before')?.map(created);
  const since = filters.get('since')?.map(created);
  const until = filters.get('until')?.map((value) => parseTime(value, Date.now()).getTime() / 1000);
  const isWanted = (image: Image): boolean => {
    const labels = image.config.config?.Labels ?? {};
    const seconds = createdSeconds(image.config);
    return (
      (dangling === undefined || dangling === (image.references.length === 0)) && matchesLabels(filters, labels) && lacksLabels(filters, labels) && matchesAny(filters, 'reference', (pattern) => matchesReference(image, pattern)) &&
      (before?.every((time) => seconds < time) ?? true) && (since?.every((time) => seconds > time) ?? true) && (until?.every((time) => seconds < time) ?? true)
    );
  };
  const selected = images.list().filter(isWanted).toSorted((a, b) => createdSeconds(b.config) - createdSeconds(a.config));
  // Of an image that has several names those are shown that were asked for.
  const shown = (image: Image): Image => ({ ...image, references: image.references.filter((name) => matchesAny(filters, 'reference', (pattern) => matchesReference({ references: [name] }, pattern))) });
  const sharedBytes = query['shared-size'] ? sharedSizes(images) : undefined;
  sendJson(call, 200, selected.map((image) => imageSummaryView(shown(image), call.apiVersion, { containers: -1, sharedBytes: sharedBytes?.get(image.id) ?? -1 })));
}

/** Patterns match whole names or names without tag, with Go's path wildcards: `*` does not cross a slash. */
function matchesReference({ references }: Pick<Image, 'references'>, pattern: string): boolean {
  const expression = new RegExp(`^${pattern.replace(/[.+^${}()|\\]/g, '\\$&').replaceAll('*', '[^/]*').replaceAll('?', '[^/]')}$`);
  return references.some((name) => {
    const reference = parseImageReference(name);
    const familiar = familiarImageReference(reference);
    const { tag: _, ...repository } = reference;
    return [familiar, name, familiarImageReference(repository), formatImageReference(repository)].some((candidate) => expression.test(candidate));
  });
}

interface CreateImageQuery extends ImportQuery { fromImage: string | undefined }

/** `docker pull`, or with `fromSrc` `docker import`. */
async function createImage(call: Call, services: DockerServices, query: CreateImageQuery): Promise<void> {
  if (query.fromSrc !== undefined) return importImage(call, services, query);
  if (query.changes.length > 0 || query.message !== undefined) throw new GantryError('invalid', 'changes and message belong to fromSrc');
  if (query.fromImage === undefined) throw new GantryError('invalid', 'fromImage names the image');
  if (query.repo !== undefined) throw new GantryError('invalid', 'repo belongs to fromSrc');
  const reference = joinTag(query.fromImage, query.tag);
  const credentials = credentialsOf(call, services, reference);
  parseImageReference(reference);
  const platform = query.platform === undefined ? undefined : parsePlatform(query.platform);
  await transfer(call, async (progress) => {
    const image = await services.images.pull(reference, { policy: 'always', progress, credentials, ...(platform === undefined ? {} : { platform }) }, call.signal);
    publish(services, 'pull', familiarImageReference(parseImageReference(reference)), image.config.config?.Labels ?? {});
  });
}

function joinTag(name: string, tag: string | undefined): string {
  if (tag === undefined) return name;
  return tag.includes(':') ? `${name}@${tag}` : `${name}:${tag}`;
}

async function pushImage(call: Call, services: DockerServices, query: { tag: string | undefined }): Promise<void> {
  const name = call.params['name'] ?? '';
  const reference = formatImageReference(parseImageReference(joinTag(name, query.tag)));
  const credentials = credentialsOf(call, services, reference);
  if (services.images.find(reference) === undefined) throw new GantryError('not-found', `An image does not exist locally with the tag: ${name}`);
  await transfer(call, async (progress, write) => {
    const digest = await services.images.push(reference, { progress, credentials }, call.signal);
    write({ progressDetail: {}, aux: { Tag: parseImageReference(reference).tag ?? '', Digest: digest, Size: 0 } });
    publish(services, 'push', familiarImageReference(parseImageReference(reference)), {});
  });
}

/** The engine's own credentials are for its own pulls: a client brings its own, has those that the API is given for it, or none. */
function credentialsOf(call: Call, services: DockerServices, reference: string): Credentials | 'none' {
  return parseRegistryAuth(call.request.headers['x-registry-auth']) ?? services.credentialsFor?.(reference) ?? 'none';
}

/** A registry that does not take the credentials: 401 is for this API's own, and clients would ask the user at the terminal for a name and password. */
function refusalOf(error: unknown): unknown {
  return isError(error, 'unauthenticated') ? new GantryError('forbidden', error.message, { cause: error }) : error;
}

/** Streams progress. What fails after the first line is told in the stream: the status is out by then. */
async function transfer(call: Call, work: (progress: (event: TransferProgress) => void, write: (value: unknown) => void) => Promise<void>): Promise<void> {
  let output: ReturnType<typeof openJsonStream> | undefined;
  const write = (value: unknown): void => (output ??= openJsonStream(call)).write(value);
  try {
    await work((event) => write(progressView(event)), write);
  } catch (error) {
    if (output === undefined) throw refusalOf(error);
    const message = errorMessage(toGantryError(error));
    write({ errorDetail: { message }, error: message });
  }
  (output ??= openJsonStream(call)).end();
}

function progressView({ id, status, current, total }: TransferProgress): Record<string, unknown> {
  const detail = current === undefined ? {} : { current, ...(total === undefined ? {} : { total }) };
  const bar = current === undefined || total === undefined ? {} : { progress: progressBar(current, total) };
  return { status, progressDetail: detail, ...bar, ...(id === undefined || id === '' ? {} : { id }) };
}

function progressBar(current: number, total: number): string {
  const done = Math.round(Math.min(current / Math.max(total, 1), 1) * 50);
  return `[${'='.repeat(Math.max(done - 1, 0))}${done > 0 ? '>' : ''}${' '.repeat(50 - done)}] ${megabytes(current)}/${megabytes(total)}`;
}

function megabytes(bytes: number): string {
  return bytes < 1_000_000 ? `${(bytes / 1000).toPrecision(4)}kB` : `${(bytes / 1_000_000).toPrecision(4)}MB`;
}

async function tagImage(call: Call, services: DockerServices, query: { repo: string | undefined; tag: string | undefined }): Promise<void> {
  if (query.repo === undefined) throw new GantryError('invalid', 'repo names the repository');
  const reference = joinTag(query.repo, query.tag);
  await services.images.tag(call.params['name'] ?? '', reference);
  const { id } = services.images.get(reference);
  services.engine.events.publish({ type: 'image', action: 'tag', id, attributes: { name: familiarImageReference(parseImageReference(reference)) } });
  sendEmpty(call, 201);
}

async function removeImage(call: Call, services: DockerServices, { force }: { force: boolean }): Promise<void> {
  const { id } = services.images.get(call.params['name'] ?? '');
  const removed = await services.images.remove(call.params['name'] ?? '', { isForced: force }, call.signal);
  for (const entry of removed) publishRemoval(services, entry, id);
  sendJson(call, 200, removed.map(removedView));
}

function removedView(entry: RemovedImage): Record<string, string> {
  return 'untagged' in entry ? { Untagged: entry.untagged } : { Deleted: entry.deleted };
}

async function pruneImages(call: Call, services: DockerServices, query: { filters: string | undefined }): Promise<void> {
  const filters = parseFilters(query.filters, ['dangling', 'label', 'label!', 'until']);
  const until = filters.get('until')?.map((value) => parseTime(value, Date.now()).getTime() / 1000);
  const filter = (image: Image): boolean => {
    const labels = image.config.config?.Labels ?? {};
    return matchesLabels(filters, labels) && lacksLabels(filters, labels) && (until?.every((time) => createdSeconds(image.config) < time) ?? true);
  };
  const { removed, freedBytes } = await services.images.prune({ onlyDangling: flagFilter(filters, 'dangling') ?? true, filter }, call.signal);
  for (const entry of removed) publishRemoval(services, entry);
  sendJson(call, 200, { ImagesDeleted: removed.length === 0 ? null : removed.map(removedView), SpaceReclaimed: freedBytes });
}

function publishRemoval(services: DockerServices, entry: RemovedImage, imageId?: string): void {
  if ('untagged' in entry) publish(services, 'untag', imageId ?? entry.untagged, {});
  else publish(services, 'delete', entry.deleted, {});
}

function publish({ engine }: DockerServices, action: string, name: string, labels: Record<string, string>): void {
  engine.events.publish({ type: 'image', action, id: name, attributes: { ...labels, name } });
}

async function saveImages(call: Call, { images }: DockerServices, names: readonly string[], platform: string | undefined): Promise<void> {
  if (names.length === 0) throw new GantryError('invalid', 'names the images to save');
  const asked = parsePlatformJson(platform);
  for (const name of names) {
    const { config } = images.get(name);
    if (asked !== undefined) checkPlatform(config, asked, name);
  }
  call.response.writeHead(200, { 'content-type': 'application/x-tar' });
  await images.save(names, call.response, call.signal);
}

async function loadImages(call: Call, services: DockerServices, query: { quiet: boolean; platform: string | undefined }): Promise<void> {
  const platform = parsePlatformJson(query.platform);
  const loaded = await services.images.load(call.body, platform === undefined ? {} : { platform }, call.signal);
  const output = openJsonStream(call);
  for (const { image, references } of loaded) {
    for (const name of references) output.write({ stream: `Loaded image: ${familiarImageReference(parseImageReference(name))}\n` });
    if (references.length === 0) output.write({ stream: `Loaded image ID: ${image.id}\n` });
    publish(services, 'load', image.id, {});
  }
  output.end();
}

/** What the registry has, with every platform of it. */
async function distribution(call: Call, services: DockerServices): Promise<void> {
  const name = call.params['name'] ?? '';
  const { descriptor, platforms } = await services.images.lookUp(name, { credentials: credentialsOf(call, services, name) }, call.signal).catch((error: unknown) => {
    throw refusalOf(error);
  });
  sendJson(call, 200, { Descriptor: descriptor, Platforms: platforms });
}

function history(call: Call, { images }: DockerServices): void {
  const image = images.get(call.params['name'] ?? '');
  sendJson(call, 200, historyView(image, (at) => images.layerBytes(image.layers[at] ?? ('' as Digest))));
}

export const imageRoutes: readonly Route[] = [
  route({ method: 'GET', path: '/images/json', summary: 'List images', note: 'there are no intermediate images to show with `all`', query: { all: flag, filters: text, digests: flag, 'shared-size': flag, manifests: flag }, handle: listImages }),
  route({
    method: 'POST', path: '/images/create', summary: 'Create an image', note: 'pulls; imports what is sent (`fromSrc=-`), not what an address names',
    query: { fromImage: text, fromSrc: text, repo: text, tag: text, platform: text, message: text, changes: list }, handle: createImage,
  }),
  refusedRoute('GET', '/images/search', 'Search images', 'the search of Docker Hub is no part of the registry protocol'),
  route({ method: 'POST', path: '/images/prune', summary: 'Delete unused images', query: { filters: text }, handle: pruneImages }),
  route({ method: 'GET', path: '/images/get', summary: 'Export several images', note: 'with `platform` (JSON) images for another are refused', query: { names: list, platform: text }, handle: (call, services, { names, platform }) => saveImages(call, services, names, platform) }),
  route({ method: 'POST', path: '/images/load', summary: 'Import images', note: 'docker-archive and OCI layout, plain or compressed with gzip or zstd; of several platforms the machine\'s or the one that `platform` (JSON) names', query: { quiet: flag, platform: text }, handle: loadImages }),
  route({ method: 'GET', path: '/images/{name...}/json', summary: 'Inspect an image', query: { manifests: optionalFlag }, handle: (call, { images }) => sendJson(call, 200, imageInspectView(images.get(call.params['name'] ?? ''), call.apiVersion)) }),
  route({ method: 'GET', path: '/images/{name...}/history', summary: 'Get the history of an image', handle: history }),
  route({ method: 'GET', path: '/images/{name...}/get', summary: 'Export an image', note: 'with `platform` (JSON) an image for another is refused', query: { platform: text }, handle: (call, services, { platform }) => saveImages(call, services, [call.params['name'] ?? ''], platform) }),
  route({ method: 'POST', path: '/images/{name...}/push', summary: 'Push an image', query: { tag: text }, handle: pushImage }),
  route({ method: 'POST', path: '/images/{name...}/tag', summary: 'Tag an image', query: { repo: text, tag: text }, handle: tagImage }),
  route({ method: 'DELETE', path: '/images/{name...}', summary: 'Remove an image', query: { force: flag, noprune: flag }, handle: removeImage }),
  route({ method: 'GET', path: '/distribution/{name...}/json', summary: 'Get image information from the registry', handle: distribution }),
];
