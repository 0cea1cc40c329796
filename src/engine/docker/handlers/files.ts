import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { z } from 'zod';
import { formatImageReference, type ImageConfig, parseImageReference } from '../../../api/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import { decompressed, sniffed } from '../../images/compression.ts';
import { archiveEntry, archiveTree } from '../../images/tree-archive.ts';
import { defaultLayerLimits } from '../../images/types.ts';
import { unpackArchive } from '../../images/unpack-layer.ts';
import { type Call, type DockerServices, sendEmpty, sendJson, readJson } from '../call.ts';
import { listChanges, mountPoints } from '../container-changes.ts';
import { locate, locateFolder, mappedIds, pathStatHeader, withContainerRoot } from '../container-files.ts';
import { changedConfig, splitChanges } from '../config-changes.ts';
import { type ApiRecord, mergeEnv } from '../create/container-spec.ts';
import { healthcheckSchema, objectMap } from '../requests/create-container.ts';
import { command, dockerObject, isZero, optional, optionalFlag as optionalBoolean, optionalInteger, optionalText, textMap, texts } from '../requests/zero.ts';
import { list, optionalFlag, flag, type Route, route, text } from '../route.ts';

const nameOf = (call: Call): string => (call.params['id'] ?? '').replace(/^\//, '');

function pathOf(query: { path: string | undefined }): string {
  if (query.path === undefined) throw new GantryError('invalid', 'bad parameter: path cannot be empty');
  return query.path;
}

async function statPath(call: Call, { engine }: DockerServices, query: { path: string | undefined }): Promise<void> {
  const path = pathOf(query);
  const header = await withContainerRoot(engine, nameOf(call), path, async (root) => pathStatHeader(locate(root, path), path, nameOf(call)), call.signal);
  call.response.writeHead(200, { 'x-docker-container-path-stat': header }).end();
}

/** `docker cp` out of a container: a tar whose one top entry is what the path names. */
async function readArchive(call: Call, { engine }: DockerServices, query: { path: string | undefined }): Promise<void> {
  const path = pathOf(query);
  const { id } = engine.containers.get(nameOf(call));
  await withContainerRoot(engine, id, path, async (root) => {
    const place = locate(root, path);
    call.response.writeHead(200, { 'content-type': 'application/x-tar', 'x-docker-container-path-stat': pathStatHeader(place, path, nameOf(call)) });
    const folder = join(place.root, place.folder, '/');
    const entries = archiveEntry(folder, place.name === '' ? '.' : place.name, place.name === '' ? '.' : place.name, { format: 'plain', idRange: mappedIds(engine.containers.get(nameOf(call)))?.range }, call.signal);
    await pipeline(Readable.from(entries, { objectMode: false }), call.response);
  }, call.signal);
}

/** `docker cp` into a container. The archive is unpacked by a process that is confined to the container's root. */
async function writeArchive(call: Call, { engine }: DockerServices, query: { path: string | undefined; copyUIDGID: boolean }): Promise<void> {
  const path = pathOf(query);
  const record = engine.containers.get(nameOf(call));
  if (record.spec.security.isReadOnlyRoot) throw new GantryError('forbidden', 'container rootfs is marked read-only');
  const owner = query.copyUIDGID ? numericUser(record.spec.user) : undefined;
  await withContainerRoot(engine, record.id, path, async (root) => {
    const at = locateFolder(root, path, nameOf(call));
    const mapped = mappedIds(record);
    const tar = decompressed(...(await sniffed(call.body as AsyncIterable<Uint8Array>)));
    await unpackArchive(tar, root, { what: 'archive', limits: defaultLayerLimits, at, ...(owner === undefined ? {} : { owner }), ...(mapped === undefined ? {} : { userNamespace: mapped.file }) }, call.signal);
  }, call.signal);
  sendEmpty(call, 200);
}

function numericUser(user: string): { uid: number; gid: number } {
  const [, uid = '0', gid] = /^(\d*)(?::(\d+))?$/.exec(user) ?? [];
  if (!/^(\d*)(?::(\d+))?$/.test(user)) throw new GantryError('unsupported', `copyUIDGID needs a container whose user is a number, not ${user}`);
  return { uid: Number(uid), gid: Number(gid ?? uid) };
}

async function exportContainer(call: Call, { engine }: DockerServices): Promise<void> {
  const { id } = engine.containers.get(nameOf(call));
  await engine.containers.withRootfs(id, async (root) => {
    call.response.writeHead(200, { 'content-type': 'application/x-tar' });
    await pipeline(Readable.from(archiveTree(root, { format: 'plain', idRange: mappedIds(engine.containers.get(id))?.range }, call.signal), { objectMode: false }), call.response);
  }, call.signal);
}

async function changes(call: Call, { engine, images }: DockerServices): Promise<void> {
  const { id, spec } = engine.containers.get(nameOf(call));
  const { layerFolders } = await images.openRootfs(spec.image.id, call.signal);
  sendJson(call, 200, listChanges(engine.containers.writableFolder(id), layerFolders, mountPoints(spec)));
}

interface CommitQuery { container: string | undefined; repo: string | undefined; tag: string | undefined; comment: string | undefined; author: string | undefined; pause: boolean | undefined; changes: string[] }

/** `docker commit`: the container's changes as a layer over its image. The container is paused meanwhile unless asked otherwise. */
async function commit(call: Call, services: DockerServices, query: CommitQuery): Promise<void> {
  const { engine, images } = services;
  if (query.container === undefined) throw new GantryError('invalid', 'container names the container');
  const changes = splitChanges(query.changes);
  const own = await readJson(call, commitSchema);
  const { id, spec, status } = engine.containers.get(query.container);
  const base = images.get(spec.image.id);
  using held = new DisposableStack();
  held.use(images.holdLayers(base.layers));
  const isPaused = (query.pause ?? true) && status.state === 'running';
  if (isPaused) await engine.containers.pause(id, new AbortController().signal);
  let layer: { diffId: ImageConfig['rootfs']['diff_ids'][number] } | undefined;
  try {
    const ignored = mountPoints(spec);
    const { layerFolders } = await images.openRootfs(base.id, call.signal);
    const added = new Set(listChanges(engine.containers.writableFolder(id), layerFolders, new Set()).flatMap(({ Path, Kind }) => (Kind === 1 && ignored.has(Path) ? [Path.slice(1)] : [])));
    const tar = archiveTree(engine.containers.writableFolder(id), { format: 'overlay', isLeftOut: (path) => added.has(path) }, call.signal);
    layer = await images.importLayer(Readable.from(tar, { objectMode: false }), call.signal);
    held.use(images.holdLayers([layer.diffId]));
  } finally {
    if (isPaused) await engine.containers.unpause(id, new AbortController().signal);
  }
  const created = new Date().toISOString();
  const plain: ImageConfig = {
    ...base.config,
    created,
    ...(query.author === undefined ? {} : { author: query.author }),
    config: committedConfig(base.config.config, spec.apiRecord as ApiRecord | undefined, spec.env, own),
    rootfs: { type: 'layers', diff_ids: [...base.layers, layer.diffId] },
    history: [...(base.config.history ?? base.layers.map(() => ({}))), { created, created_by: spec.args.join(' '), ...(query.comment === undefined ? {} : { comment: query.comment }), ...(query.author === undefined ? {} : { author: query.author }) }],
  };
  const config = await changedConfig(services, plain, changes, call.signal);
  const reference = query.repo === undefined ? [] : [formatImageReference(parseImageReference(query.tag === undefined ? query.repo : `${query.repo}:${query.tag}`))];
  const imageId = await images.createImage(config, reference, call.signal);
  engine.events.publish({ type: 'container', action: 'commit', id, attributes: { name: spec.name, image: spec.image.reference, imageID: imageId } });
  sendJson(call, 201, { Id: imageId });
}

/** The configuration of the body, as of `POST /containers/create`; what only a container has is not for images. */
const commitSchema = dockerObject(
  {
    ...Object.fromEntries(['AttachStderr', 'AttachStdin', 'AttachStdout', 'ArgsEscaped', 'NetworkDisabled', 'OpenStdin', 'StdinOnce', 'Tty'].map((name) => [name, optionalBoolean])),
    ...Object.fromEntries(['Domainname', 'Hostname', 'Image', 'MacAddress'].map((name) => [name, optionalText])),
    StopTimeout: optionalInteger,
    Cmd: command, Entrypoint: command, Env: texts, ExposedPorts: objectMap, Healthcheck: optional(healthcheckSchema), Labels: textMap, OnBuild: texts, Shell: texts, StopSignal: optionalText, User: optionalText, Volumes: objectMap,
    WorkingDir: optionalText,
  },
);

/** Of the body what is given, else the container's own settings, else the image's. Variables, labels, ports and volumes are merged. */
function committedConfig(image: ImageConfig['config'], record: ApiRecord | undefined, env: readonly string[], own: z.output<typeof commitSchema>): ImageConfig['config'] {
  const container = record?.Config ?? {};
  const kept = ['User', 'ExposedPorts', 'Entrypoint', 'Cmd', 'Volumes', 'WorkingDir', 'Labels', 'StopSignal', 'Healthcheck', 'Shell'] as const;
  const base: Record<string, unknown> = { ...image, ...Object.fromEntries(kept.flatMap((key) => (container[key] === undefined || container[key] === null ? [] : [[key, container[key]]]))), Env: [...env] };
  const asked = Object.fromEntries([...kept, 'OnBuild' as const].flatMap((key) => (isZero(own[key]) ? [] : [[key, own[key]]])));
  const merged = Object.fromEntries((['ExposedPorts', 'Volumes', 'Labels'] as const).flatMap((key) => (isZero(own[key]) && base[key] === undefined ? [] : [[key, { ...(base[key] as object | undefined), ...own[key] }]])));
  return { ...base, ...asked, ...merged, Env: mergeEnv(env, own.Env) };
}

export const fileRoutes: readonly Route[] = [
  route({ method: 'HEAD', path: '/containers/{id}/archive', summary: 'Get information about files in a container', query: { path: text }, handle: statPath }),
  route({ method: 'GET', path: '/containers/{id}/archive', summary: 'Get an archive of a filesystem resource in a container', note: 'volumes and binds only while the container runs', query: { path: text }, handle: readArchive }),
  route({
    method: 'PUT', path: '/containers/{id}/archive', summary: 'Extract an archive of files or folders to a directory in a container', note: 'a folder is never replaced by a file, nor a file by a folder; volumes and binds only while the container runs',
    query: { path: text, noOverwriteDirNonDir: flag, copyUIDGID: flag }, handle: writeArchive,
  }),
  route({ method: 'GET', path: '/containers/{id}/export', summary: 'Export a container', handle: exportContainer }),
  route({ method: 'GET', path: '/containers/{id}/changes', summary: 'Get changes on a container\'s filesystem', handle: changes }),
  route({
    method: 'POST', path: '/commit', summary: 'Create a new image from a container', body: commitSchema,
    query: { container: text, repo: text, tag: text, comment: text, author: text, pause: optionalFlag, changes: list }, handle: commit,
  }),
];
