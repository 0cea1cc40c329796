import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { z } from 'zod';
import { GantryError, isError, parseWith } from '../../../kernel/mod.ts';
import { isContainerName } from '../../containers/validate-spec.ts';
import { formatPlatform, parsePlatform } from '../../images/platform.ts';
import type { Image } from '../../images/types.ts';
import type { ContainerRecord, MountSpec } from '../../types.ts';
import { type Call, type DockerServices, readJson, sendEmpty, sendJson } from '../call.ts';
import { planContainer } from '../create/container-spec.ts';
import { planResources, planRestart } from '../create/security.ts';
import type { PlannedMount } from '../create/mounts.ts';
import { lacksLabels, matchesLabels, parseFilters, parseTime } from '../filters.ts';
import { generateContainerName } from '../names.ts';
import { createContainerSchema, hostConfigSchema } from '../requests/create-container.ts';
import { dockerObject, optional, optionalText, optionalInteger } from '../requests/zero.ts';
import { flag, integer, type Route, route, text } from '../route.ts';
import { exposedPorts, inspectView, summaryView } from '../views/container.ts';
import { containerFilterNames, selectContainers } from './container-list.ts';
import { sizesOf } from './folder-bytes.ts';

const nameOf = (call: Call): string => (call.params['id'] ?? '').replace(/^\//, '');

async function listContainers(call: Call, services: DockerServices, query: { all: boolean; limit: number | undefined; size: boolean; filters: string | undefined }): Promise<void> {
  const { engine, images } = services;
  const filters = parseFilters(query.filters, containerFilterNames);
  const limit = query.limit !== undefined && query.limit > 0 ? query.limit : undefined;
  const selected = selectContainers(engine.containers.list(), filters, { showAll: query.all || limit !== undefined, imageOf: (name) => images.find(name)?.id, networks: engine.networks.list() });
  const view = async (record: ContainerRecord): Promise<Record<string, unknown>> => {
    const { id, reference } = record.spec.image;
    // A name that has gone over to another image would mislead.
    const isNamed = images.find(reference)?.id === id || images.find(id) === undefined;
    return { ...summaryView(record, engine, call.apiVersion, query.size ? await sizesOf(services, record) : undefined), ...(isNamed ? {} : { Image: id }) };
  };
  sendJson(call, 200, await Promise.all(selected.slice(0, limit).map(view)));
}

interface CreateQuery { name: string | undefined; platform: string | undefined }

/** Only a missing image is 404: clients pull it then, and ask again. Another thing that is missing is a mistake of the request. */
async function createContainer(call: Call, services: DockerServices, query: CreateQuery): Promise<void> {
  const sent = await readJson(call, z.looseObject({}));
  const image = services.images.get(parseWith(createContainerSchema, sent, 'request body').Image);
  if (query.platform !== undefined) checkPlatform(query.platform, image.config);
  try {
    await createOf(call, services, query, sent, image);
  } catch (error) {
    throw isError(error, 'not-found') ? new GantryError('invalid', error.message, { cause: error }) : error;
  }
}

async function createOf(call: Call, services: DockerServices, query: CreateQuery, sent: Record<string, unknown>, image: Image): Promise<void> {
  const { engine, images } = services;
  const request = parseWith(createContainerSchema, sent, 'request body');
  const all = engine.containers.list();
  const name = query.name?.replace(/^\//, '') ?? generateContainerName((candidate) => all.some(({ spec }) => spec.name === candidate));
  const planned = planContainer(request, {
    name,
    image,
    hostConfig: (sent['HostConfig'] ?? {}) as Record<string, unknown>,
    hostName: hostname(),
    runtimes: ['runc', 'io.containerd.runc.v2', engine.info.runtimeName],
    container: (idOrName) => {
      const { id, spec } = engine.containers.get(idOrName);
      return { id, mounts: spec.mounts, ports: exposedPorts(spec) };
    },
  });
  for (const mount of planned.mounts) {
    if (mount.type === 'bind' && !mount.createSource && !existsSync(mount.source)) throw new GantryError('invalid', `invalid mount config for type "bind": bind source path does not exist: ${mount.source}`);
  }
  // The image must outlive the time until the container is its user.
  using _ = images.holdLayers(image.layers);
  const { mounts, anonymous } = await makeVolumes(services, planned.mounts, call.signal);
  let record: ContainerRecord;
  try {
    record = await engine.containers.create({ ...planned.spec, mounts }, call.signal);
  } catch (error) {
    for (const volume of anonymous) await engine.volumes.remove(volume, new AbortController().signal);
    throw error;
  }
  const warnings = [...record.status.warnings];
  if (planned.spec.network.mode === 'host' && (Object.keys(request.HostConfig?.PortBindings ?? {}).length > 0 || request.HostConfig?.PublishAllPorts === true)) warnings.push('Published ports are discarded when using host network mode');
  sendJson(call, 201, { Id: record.id, Warnings: warnings });
}

function checkPlatform(platform: string, config: { os: string; architecture: string; variant?: string }): void {
  const wanted = parsePlatform(platform);
  if (wanted.os !== config.os || wanted.architecture !== config.architecture) {
    throw new GantryError('not-found', `image with reference was found but does not provide the specified platform (${formatPlatform(wanted)}): it is ${formatPlatform(config)}`);
  }
}

/** Makes the volumes a container needs. The anonymous ones are told, to be removed if nothing comes of it. */
async function makeVolumes({ engine }: DockerServices, planned: readonly PlannedMount[], signal: AbortSignal): Promise<{ mounts: MountSpec[]; anonymous: string[] }> {
  const mounts: MountSpec[] = [];
  const anonymous: string[] = [];
  for (const mount of planned) {
    if (mount.type !== 'volume') {
      mounts.push(mount);
      continue;
    }
    const { volume, labels, options, ...rest } = mount;
    const { name } = await engine.volumes.create({ ...(volume === undefined ? {} : { name: volume }), labels, options }, signal);
    if (volume === undefined) anonymous.push(name);
    mounts.push({ ...rest, volume: name });
  }
  return { mounts, anonymous };
}

async function inspectContainer(call: Call, services: DockerServices, { size }: { size: boolean }): Promise<void> {
  const record = services.engine.containers.get(nameOf(call));
  sendJson(call, 200, inspectView(record, services.engine, call.apiVersion, services.execs.idsOf(record.id), size ? await sizesOf(services, record) : undefined));
}

async function startContainer(call: Call, { engine }: DockerServices): Promise<void> {
  const { id, spec, status } = engine.containers.get(nameOf(call));
  if (status.state === 'running') return sendEmpty(call, 304);
  try {
    // A client that goes away must not leave a container half started.
    await engine.containers.start(id, lasting());
  } catch (error) {
    // Clients of `--rm` wait for it to be gone, also when it could not be started.
    if (spec.autoRemove) await engine.containers.remove(id, { force: true, removeVolumes: true }, lasting());
    throw error;
  }
  sendEmpty(call, 204);
}

async function stopContainer(call: Call, { engine }: DockerServices, query: { t: number | undefined; signal: string | undefined }): Promise<void> {
  const { id, status } = engine.containers.get(nameOf(call));
  if (status.state === 'exited' || status.state === 'created') return sendEmpty(call, 304);
  await engine.containers.stop(id, stopOptions(query), new AbortController().signal);
  sendEmpty(call, 204);
}

function stopOptions(query: { t: number | undefined; signal: string | undefined }): { timeoutSeconds?: number; signal?: string } {
  return { ...(query.t === undefined ? {} : { timeoutSeconds: query.t }), ...(query.signal === undefined ? {} : { signal: query.signal }) };
}

async function updateContainer(call: Call, { engine }: DockerServices): Promise<void> {
  const request = await readJson(call, updateSchema);
  const { RestartPolicy, ...limits } = request;
  const { id, spec } = engine.containers.get(nameOf(call));
  const resources = planResources(hostConfigSchema.parse(limits));
  const restart = RestartPolicy === undefined || (RestartPolicy.Name ?? '') === '' ? undefined : planRestart(RestartPolicy, spec.autoRemove);
  const warnings = await engine.containers.update(id, { ...(Object.keys(resources).length === 0 ? {} : { resources }), ...(restart === undefined ? {} : { restart }) }, call.signal);
  sendJson(call, 200, { Warnings: warnings.length === 0 ? null : warnings });
}

const updateSchema = dockerObject({
  ...Object.fromEntries(
    ['BlkioWeight', 'CpuPeriod', 'CpuQuota', 'CpuShares', 'Memory', 'MemoryReservation', 'MemorySwap', 'NanoCpus', 'PidsLimit'].map((name) => [name, optionalInteger]),
  ),
  CpusetCpus: optionalText,
  CpusetMems: optionalText,
  RestartPolicy: optional(dockerObject({ Name: optionalText, MaximumRetryCount: optionalInteger })),
});

async function removeContainer(call: Call, { engine }: DockerServices, { force, v, link }: { force: boolean; v: boolean; link: boolean }): Promise<void> {
  if (link) throw new GantryError('unsupported', 'a link goes with its container; it cannot be removed alone');
  await engine.containers.remove(nameOf(call), { force, removeVolumes: v }, new AbortController().signal);
  sendEmpty(call, 204);
}

const conditions: Readonly<Record<string, 'not-running' | 'next-exit' | 'removed'>> = { '': 'not-running', 'not-running': 'not-running', 'next-exit': 'next-exit', removed: 'removed' };

/** The head is sent at once: clients begin to wait before they start the container. */
async function waitContainer(call: Call, { engine }: DockerServices, query: { condition: string | undefined }): Promise<void> {
  const condition = conditions[query.condition ?? ''];
  if (condition === undefined) throw new GantryError('invalid', `invalid condition: ${JSON.stringify(query.condition)}`);
  const { id } = engine.containers.get(nameOf(call));
  const waiting = engine.containers.wait(id, condition, call.signal);
  call.response.writeHead(200, { 'content-type': 'application/json' });
  call.response.flushHeaders();
  try {
    const { exitCode, error } = await waiting;
    // Why it could not be started is the answer to the start: told here too, clients would show it twice.
    const hasRun = engine.containers.list().find((record) => record.id === id)?.status.startedAt !== undefined;
    call.response.end(`${JSON.stringify({ StatusCode: exitCode, ...waitError(hasRun ? error : undefined, call.apiVersion) })}\n`);
  } catch (error) {
    if (!isError(error) || call.response.destroyed) throw error;
    call.response.end(`${JSON.stringify({ StatusCode: -1, Error: { Message: error.message } })}\n`);
  }
}

/** Up to 1.41 the field is always there. */
function waitError(message: string | undefined, apiVersion: number): { Error?: { Message: string } | null } {
  if (message === undefined) return apiVersion < 1042 ? { Error: null } : {};
  return { Error: { Message: message } };
}

async function pruneContainers(call: Call, services: DockerServices, query: { filters: string | undefined }): Promise<void> {
  const { engine } = services;
  const filters = parseFilters(query.filters, ['label', 'label!', 'until']);
  const [until] = filters.get('until') ?? [];
  const before = until === undefined ? Infinity : parseTime(until, Date.now()).getTime();
  const deleted: string[] = [];
  let freed = 0;
  for (const record of engine.containers.list()) {
    const { spec, status } = record;
    const isIdle = status.state === 'exited' || status.state === 'created';
    if (spec.owner.kind !== 'user' || !isIdle || Date.parse(status.createdAt) > before || !matchesLabels(filters, spec.labels) || !lacksLabels(filters, spec.labels)) continue;
    const { writableBytes } = await sizesOf(services, record);
    await engine.containers.remove(record.id, { force: false, removeVolumes: false }, call.signal);
    deleted.push(record.id);
    freed += writableBytes;
  }
  sendJson(call, 200, { ContainersDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: freed });
}

async function topContainer(call: Call, { engine }: DockerServices, query: { ps_args: string | undefined }): Promise<void> {
  const { titles, processes } = await engine.containers.top(nameOf(call), (query.ps_args ?? '-ef').split(/\s+/).filter((word) => word !== ''), call.signal);
  sendJson(call, 200, { Titles: titles, Processes: processes });
}

/** An action without an answer, that goes to its end though the client may leave. */
function action(work: (services: DockerServices, id: string, call: Call) => Promise<void>): (call: Call, services: DockerServices) => Promise<void> {
  return async (call, services) => {
    await work(services, services.engine.containers.get(nameOf(call)).id, call);
    sendEmpty(call, 204);
  };
}

const lasting = (): AbortSignal => new AbortController().signal;

export const containerRoutes: readonly Route[] = [
  route({ method: 'GET', path: '/containers/json', summary: 'List containers', query: { all: flag, limit: integer, size: flag, filters: text }, handle: listContainers }),
  route({ method: 'POST', path: '/containers/create', summary: 'Create a container', note: 'see the table of fields', query: { name: text, platform: text }, body: createContainerSchema, handle: createContainer }),
  route({ method: 'GET', path: '/containers/{id}/json', summary: 'Inspect a container', query: { size: flag }, handle: inspectContainer }),
  route({ method: 'GET', path: '/containers/{id}/top', summary: 'List processes running inside a container', query: { ps_args: text }, handle: topContainer }),
  route({ method: 'POST', path: '/containers/{id}/start', summary: 'Start a container', query: { detachKeys: text }, handle: startContainer }),
  route({ method: 'POST', path: '/containers/{id}/stop', summary: 'Stop a container', query: { t: integer, signal: text }, handle: stopContainer }),
  route({
    method: 'POST', path: '/containers/{id}/restart', summary: 'Restart a container', query: { t: integer, signal: text },
    handle: async (call, { engine }, query) => {
      await engine.containers.restart(engine.containers.get(nameOf(call)).id, stopOptions(query), lasting());
      sendEmpty(call, 204);
    },
  }),
  route({
    method: 'POST', path: '/containers/{id}/kill', summary: 'Kill a container', query: { signal: text },
    handle: async (call, { engine }, query) => {
      try {
        await engine.containers.kill(nameOf(call), query.signal ?? 'SIGKILL', lasting());
      } catch (error) {
        if (isError(error, 'conflict', 'not-found')) throw new GantryError(error.code, `cannot kill container: ${nameOf(call)}: ${error.message}`, { cause: error });
        throw error;
      }
      sendEmpty(call, 204);
    },
  }),
  route({ method: 'POST', path: '/containers/{id}/update', summary: 'Update a container', note: 'limits and the restart policy', body: updateSchema, handle: updateContainer }),
  route({
    method: 'POST', path: '/containers/{id}/rename', summary: 'Rename a container', query: { name: text },
    handle: async (call, { engine }, query) => {
      if (query.name === undefined) throw new GantryError('invalid', 'Neither old nor new names may be empty');
      const { name } = query;
      if (!isContainerName(name.replace(/^\//, ''))) throw new GantryError('invalid', `Error when allocating new name: Invalid container name (/${name.replace(/^\//, '')}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
      await engine.containers.rename(nameOf(call), name, lasting());
      sendEmpty(call, 204);
    },
  }),
  route({ method: 'POST', path: '/containers/{id}/pause', summary: 'Pause a container', handle: action(({ engine }, id) => engine.containers.pause(id, lasting())) }),
  route({ method: 'POST', path: '/containers/{id}/unpause', summary: 'Unpause a container', handle: action(({ engine }, id) => engine.containers.unpause(id, lasting())) }),
  route({ method: 'POST', path: '/containers/{id}/wait', summary: 'Wait for a container', query: { condition: text }, handle: waitContainer }),
  route({ method: 'DELETE', path: '/containers/{id}', summary: 'Remove a container', query: { v: flag, force: flag, link: flag }, handle: removeContainer }),
  route({ method: 'POST', path: '/containers/prune', summary: 'Delete stopped containers', query: { filters: text }, handle: pruneContainers }),
];
