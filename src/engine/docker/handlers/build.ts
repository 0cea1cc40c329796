import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { GantryError, toGantryError } from '../../../kernel/mod.ts';
import { decompressed, sniffed } from '../../images/compression.ts';
import { defaultLayerLimits } from '../../images/types.ts';
import { formatPlatform, hostPlatform, parsePlatform } from '../../images/platform.ts';
import { unpackContext } from '../../images/unpack-context.ts';
import type { ImageBuildRequest } from '../../ports.ts';
import { type Call, type DockerServices, openJsonStream, sendJson } from '../call.ts';
import { errorMessage } from '../docker-error.ts';
import { matchesLabels, parseFilters } from '../filters.ts';
import { flag, integer, json, list, refusedRoute, type Route, route, text } from '../route.ts';

const textMap = z.record(z.string(), z.string().nullable());

const query = {
  dockerfile: text,
  t: list,
  q: flag,
  nocache: flag,
  pull: flag,
  rm: flag,
  forcerm: flag,
  buildargs: json(textMap),
  labels: json(textMap),
  target: text,
  networkmode: text,
  version: integer,
  buildid: text,
  platform: text,
  cachefrom: json(z.array(z.string()).nullable()),
} as const;

interface BuildQuery {
  dockerfile: string | undefined;
  t: string[];
  q: boolean;
  nocache: boolean;
  pull: boolean;
  buildargs: Record<string, string | null> | undefined;
  labels: Record<string, string | null> | undefined;
  target: string | undefined;
  networkmode: string | undefined;
  version: number | undefined;
  platform: string | undefined;
  cachefrom: string[] | null | undefined;
}

const noLimits = 'processes of builds run under the limits of the engine; run the build in a container of its own to limit it';

/** Parameters that the classic builder has and this one does not. */
const refusedBuildParameters = {
  remote: 'the context is sent with the request; ADD fetches addresses', squash: 'layers are kept: they are what makes builds and pulls fast', extrahosts: 'names for the time of a build are not written into /etc/hosts',
  shmsize: noLimits, memory: noLimits, memswap: noLimits, cpushares: noLimits, cpusetcpus: noLimits, cpusetmems: noLimits, cpuperiod: noLimits, cpuquota: noLimits, ulimits: noLimits, cgroupparent: 'the engine places its containers itself',
  securityopt: 'builds run under the default profile', outputs: "BuildKit's", session: "BuildKit's",
} as const;

/** `POST /build`: the context is the body. What is wrong before anything is built is an error answer; from the first line on, errors are told in the stream. */
async function build(call: Call, services: DockerServices, asked: BuildQuery): Promise<void> {
  const { builder, log } = services;
  if (builder === undefined) throw new GantryError('unsupported', 'this engine has no builder');
  if (asked.version === 2) throw new GantryError('unsupported', "BuildKit's protocol is not spoken here: use DOCKER_BUILDKIT=0");
  const network = asked.networkmode ?? 'default';
  if (!['default', 'none', 'host', 'bridge'].includes(network)) throw new GantryError('unsupported', `networkmode ${JSON.stringify(network)} is not supported for builds`);
  if (asked.platform !== undefined && formatPlatform(parsePlatform(asked.platform)) !== formatPlatform(hostPlatform())) throw new GantryError('unsupported', `platform: builds are for ${formatPlatform(hostPlatform())}, not ${asked.platform}`);
  const contextFolder = await mkdtemp(join(services.temporaryFolder, 'context-'));
  try {
    await unpackContext(decompressed(...(await sniffed(call.body as AsyncIterable<Uint8Array>))), contextFolder, { what: 'build context', limits: defaultLayerLimits }, call.signal);
    const request: ImageBuildRequest = {
      contextFolder,
      dockerfilePath: asked.dockerfile ?? 'Dockerfile',
      tags: asked.t,
      ...(asked.target === undefined ? {} : { target: asked.target }),
      buildArgs: withoutNulls(asked.buildargs),
      labels: withoutNulls(asked.labels),
      noCache: asked.nocache,
      pull: asked.pull,
      network: network === 'bridge' ? 'default' : (network as ImageBuildRequest['network']),
    };
    let opened: ReturnType<typeof openJsonStream> | undefined;
    const output = { write: (value: unknown) => (opened ??= openJsonStream(call)).write(value) };
    if ((asked.cachefrom ?? []).length > 0 && !asked.q) output.write({ stream: 'cache-from names images to take layers from: not needed, the cache knows all layers by content\n' });
    try {
      const id = await builder.build(request, (line) => asked.q || output.write({ stream: line }), call.signal);
      output.write({ aux: { ID: id } });
      if (asked.q) output.write({ stream: `${id}\n` });
    } catch (error) {
      const failure = toGantryError(error);
      if (failure.code === 'internal') log.warn('a build failed', { err: failure });
      const message = errorMessage(failure);
      const code = typeof failure.details['exitCode'] === 'number' ? { code: failure.details['exitCode'] } : {};
      if (opened === undefined && code.code === undefined) throw failure;
      output.write({ errorDetail: { ...code, message }, error: message });
    }
    opened?.end();
  } finally {
    await rm(contextFolder, { recursive: true, force: true });
  }
}

/** Forgets the results of steps and the folders of cache mounts, and removes the layers that nobody else needs then. */
async function prune(call: Call, { builder, images }: DockerServices, query: { filters: string | undefined }): Promise<void> {
  // Of `docker system prune --filter`: the cache has no labels.
  if (!matchesLabels(parseFilters(query.filters, ['label', 'label!']), {})) return sendJson(call, 200, { CachesDeleted: null, SpaceReclaimed: 0 });
  const { cache } = builder ?? {};
  const before = (await cache?.list(call.signal)) ?? [];
  const { mountBytes } = (await cache?.prune(call.signal)) ?? { mountBytes: 0 };
  const { freedBytes } = await images.prune({ onlyDangling: true, filter: () => false }, call.signal);
  const left = new Set(((await cache?.list(call.signal)) ?? []).map(({ id }) => id));
  const gone = before.map(({ id }) => id).filter((id) => !left.has(id));
  sendJson(call, 200, { CachesDeleted: gone.length === 0 ? null : gone, SpaceReclaimed: mountBytes + freedBytes });
}

/** A build argument without a value (null) is one the client's environment does not have: as if it was not given. */
function withoutNulls(map: Record<string, string | null> | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(map ?? {}).filter((entry): entry is [string, string] => entry[1] !== null));
}

export const buildRoutes: readonly Route[] = [
  route({
    method: 'POST', path: '/build', summary: 'Build an image', isHijacked: false, query, refused: refusedBuildParameters, handle: build,
    note: 'the classic end point with a tar context, for the platform of the machine. `cachefrom` is answered with a line that it is not needed; there are no intermediate containers for `rm` and `forcerm` to remove',
  }),
  route({
    method: 'POST', path: '/build/prune', summary: 'Delete builder cache', note: 'the whole cache; `all` says nothing more. Of `filters` there are labels, which the cache does not have: one that is asked for leaves all', query: { all: flag, filters: text }, handle: prune,
    refused: { 'keep-storage': 'the builder keeps its cache within its own budget', 'reserved-space': 'the builder keeps its cache within its own budget' },
  }),
  refusedRoute('POST', '/build/cancel', 'Cancel a build', 'a build stops when its client goes away'),
];
