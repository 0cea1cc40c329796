import { z } from 'zod';
import type { Engine } from '../../engine.ts';
import type { VolumeRecord } from '../../types.ts';
import { type Call, type DockerServices, readJson, sendEmpty, sendJson } from '../call.ts';
import { type Filters, flagFilter, lacksLabels, matchesAny, matchesLabels, parseFilters } from '../filters.ts';
import { dockerObject, optional, optionalText, textMap } from '../requests/zero.ts';
import { folderBytes } from './folder-bytes.ts';
import { flag, refusedRoute, type Route, route, text } from '../route.ts';

/** A volume as the API has it. */
export function volumeView({ name, mountpoint, createdAt, labels, options }: VolumeRecord): Record<string, unknown> {
  return { Name: name, Driver: 'local', Mountpoint: mountpoint, CreatedAt: createdAt, Labels: Object.keys(labels).length === 0 ? null : labels, Options: Object.keys(options).length === 0 ? null : options, Scope: 'local' };
}

const createSchema = dockerObject(
  { Name: optionalText, Driver: optional(z.enum(['', 'local'], { error: 'only the local driver is supported' })), DriverOpts: textMap, Labels: textMap },
  { ClusterVolumeSpec: 'this engine is not part of a swarm' },
);

function isUsed(engine: Engine, name: string): boolean {
  return engine.containers.list().some(({ spec }) => spec.mounts.some((mount) => mount.type === 'volume' && mount.volume === name));
}

function fits(volume: VolumeRecord, filters: Filters, engine: Engine): boolean {
  const dangling = flagFilter(filters, 'dangling');
  return (
    matchesAny(filters, 'name', (value) => volume.name.includes(value)) && matchesAny(filters, 'driver', (value) => value === 'local') && matchesLabels(filters, volume.labels) && lacksLabels(filters, volume.labels) &&
    (dangling === undefined || dangling === !isUsed(engine, volume.name))
  );
}

function listVolumes(call: Call, { engine }: DockerServices, query: { filters?: string | undefined }): void {
  const filters = parseFilters(query.filters, ['dangling', 'driver', 'label', 'label!', 'name']);
  sendJson(call, 200, { Volumes: engine.volumes.list().filter((volume) => fits(volume, filters, engine)).map(volumeView), Warnings: null });
}

async function createVolume(call: Call, { engine }: DockerServices): Promise<void> {
  const { Name, DriverOpts, Labels } = await readJson(call, createSchema);
  sendJson(call, 201, volumeView(await engine.volumes.create({ ...(Name === undefined || Name === '' ? {} : { name: Name }), labels: Labels, options: DriverOpts }, call.signal)));
}

async function removeVolume(call: Call, { engine }: DockerServices, { force }: { force: boolean }): Promise<void> {
  const name = call.params['name'] ?? '';
  const isThere = engine.volumes.list().some((volume) => volume.name === name);
  if (isThere || !force) await engine.volumes.remove(name, call.signal);
  sendEmpty(call, 204);
}

/** Only anonymous volumes unless the filter `all` is set, as from 1.42 on. */
async function pruneVolumes(call: Call, { engine }: DockerServices, query: { filters?: string | undefined }): Promise<void> {
  const filters = parseFilters(query.filters, ['all', 'label', 'label!']);
  const isAll = flagFilter(filters, 'all') ?? call.apiVersion < 1042;
  const deleted: string[] = [];
  let freedBytes = 0;
  for (const volume of engine.volumes.list()) {
    if (isUsed(engine, volume.name) || !(isAll || volume.isAnonymous) || !matchesLabels(filters, volume.labels) || !lacksLabels(filters, volume.labels)) continue;
    const sizeBytes = await folderBytes(volume.mountpoint);
    await engine.volumes.remove(volume.name, call.signal);
    deleted.push(volume.name);
    freedBytes += sizeBytes;
  }
  sendJson(call, 200, { VolumesDeleted: deleted, SpaceReclaimed: freedBytes });
}

export const volumeRoutes: readonly Route[] = [
  route({ method: 'GET', path: '/volumes', summary: 'List volumes', query: { filters: text }, handle: listVolumes }),
  route({ method: 'POST', path: '/volumes/create', summary: 'Create a volume', note: 'only the local driver; of its options those of a bind (`type=none`, `o=bind`, `device=/path`)', body: createSchema, handle: createVolume }),
  route({ method: 'GET', path: '/volumes/{name}', summary: 'Inspect a volume', handle: (call, { engine }) => sendJson(call, 200, volumeView(engine.volumes.get(call.params['name'] ?? ''))) }),
  refusedRoute('PUT', '/volumes/{name}', 'Update a cluster volume', 'this engine is not part of a swarm'),
  route({ method: 'DELETE', path: '/volumes/{name}', summary: 'Remove a volume', query: { force: flag }, handle: removeVolume }),
  route({ method: 'POST', path: '/volumes/prune', summary: 'Delete unused volumes', query: { filters: text }, handle: pruneVolumes }),
];
