import { cpus, hostname, release } from 'node:os';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { GantryError, isError } from '../../../kernel/mod.ts';
import type { EngineEvent } from '../../types.ts';
import { formatApiVersion, maxApiVersion, minApiVersion } from '../api-version.ts';
import { type Call, type DockerServices, openJsonStream, readJson, sendJson } from '../call.ts';
import { type Filters, matchesAny, parseFilters, parseTime } from '../filters.ts';
import { refusedRoute, type Route, route, text, list } from '../route.ts';
import { hostPlatform } from '../../images/platform.ts';
import { imageSummaryView, sharedSizes } from '../views/image.ts';
import { diskUsageFields, forVersion, infoFields } from '../views/version-fields.ts';
import { folderBytes, sizesOf } from './folder-bytes.ts';
import { summaryView } from '../views/container.ts';
import { volumeView } from './volumes.ts';

function ping({ request, response }: Call): void {
  response.writeHead(200, {
    'api-version': formatApiVersion(maxApiVersion),
    // 1: clients build through POST /build. BuildKit's session protocol is not spoken here.
    'builder-version': '1',
    'docker-experimental': 'false',
    ostype: 'linux',
    swarm: 'inactive',
    'cache-control': 'no-cache, no-store, must-revalidate',
    pragma: 'no-cache',
    'content-type': 'text/plain; charset=utf-8',
    'content-length': 2,
  });
  response.end(request.method === 'HEAD' ? undefined : 'OK');
}

function version(call: Call, { engine, version: own }: DockerServices): void {
  const { architecture } = hostPlatform();
  const api = { ApiVersion: formatApiVersion(maxApiVersion), MinAPIVersion: formatApiVersion(minApiVersion), Os: 'linux', Arch: architecture, KernelVersion: release(), GitCommit: '', GoVersion: '', BuildTime: '' };
  sendJson(call, 200, {
    Platform: { Name: 'Gantry' },
    Version: own,
    ...api,
    Components: [
      { Name: 'Engine', Version: own, Details: { ...api, Experimental: 'false' } },
      { Name: engine.info.runtimeName, Version: engine.info.runtimeVersion, Details: {} },
    ],
  });
}

function info(call: Call, { engine, images, version: own }: DockerServices): void {
  const containers = engine.containers.list();
  const count = (...states: string[]): number => containers.filter(({ status }) => states.includes(status.state)).length;
  const memory = /^MemTotal:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  const system = /^PRETTY_NAME="?([^"\n]*)"?/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  const has = { MemoryLimit: true, SwapLimit: true, CpuCfsPeriod: true, CpuCfsQuota: true, CPUShares: true, CPUSet: true, PidsLimit: true, OomKillDisable: engine.info.cgroupVersion === 1 };
  const runtime = { path: engine.info.runtimeName, status: {} };
  const answer = {
    ID: engine.info.instanceId, Name: hostname(), ServerVersion: own, Containers: containers.length, ContainersRunning: count('running'), ContainersPaused: count('paused'), ContainersStopped: count('created', 'exited', 'restarting'),
    Images: images.list().length, Driver: 'overlay2', DriverStatus: [['Backing Filesystem', 'overlayfs']], Plugins: { Volume: ['local'], Network: ['bridge', 'host', 'null'], Authorization: null, Log: ['json-file'] },
    ...has, IPv4Forwarding: true, Debug: false, NFd: 0, NGoroutines: 0, SystemTime: new Date().toISOString(), LoggingDriver: 'json-file', CgroupDriver: 'cgroupfs', CgroupVersion: String(engine.info.cgroupVersion), NEventsListener: 0,
    KernelVersion: release(), OperatingSystem: system, OSVersion: '', OSType: 'linux', Architecture: process.arch === 'x64' ? 'x86_64' : process.arch, NCPU: cpus().length, MemTotal: Number(memory ?? 0) * 1024,
    IndexServerAddress: 'https://index.docker.io/v1/', RegistryConfig: { InsecureRegistryCIDRs: ['127.0.0.0/8'], IndexConfigs: { 'docker.io': { Name: 'docker.io', Mirrors: [], Secure: true, Official: true } }, Mirrors: [] }, GenericResources: null, DockerRootDir: engine.info.rootFolder, HttpProxy: '', HttpsProxy: '', NoProxy: '',
    Labels: [], ExperimentalBuild: false, Runtimes: { [engine.info.runtimeName]: runtime, 'io.containerd.runc.v2': runtime }, DefaultRuntime: engine.info.runtimeName,
    Swarm: { NodeID: '', NodeAddr: '', LocalNodeState: 'inactive', ControlAvailable: false, Error: '', RemoteManagers: null }, LiveRestoreEnabled: true, Isolation: '', InitBinary: '', ContainerdCommit: { ID: '' }, RuncCommit: { ID: engine.info.runtimeVersion },
    InitCommit: { ID: '' }, SecurityOptions: ['name=seccomp,profile=builtin', ...(engine.info.hasUserNamespaces ? ['name=userns'] : []), ...(engine.info.cgroupVersion === 2 ? ['name=cgroupns'] : [])], Warnings: null, CDISpecDirs: [], FirewallBackend: { Driver: 'nftables' }, DiscoveredDevices: null,
  };
  sendJson(call, 200, forVersion(answer, infoFields, call.apiVersion));
}

const eventFilters = ['container', 'daemon', 'event', 'image', 'label', 'network', 'scope', 'type', 'volume'];

/** `GET /events`: what is kept from `since` on, then what happens until `until` or until the client leaves. */
async function events(call: Call, { engine }: DockerServices, query: { since?: string | undefined; until?: string | undefined; filters?: string | undefined }): Promise<void> {
  const filters = parseFilters(query.filters, eventFilters);
  const now = Date.now();
  const until = query.until === undefined ? undefined : parseTime(query.until, now).getTime();
  const stop = until === undefined ? call.signal : AbortSignal.any([call.signal, AbortSignal.timeout(Math.max(0, until - now))]);
  const since = query.since === undefined ? {} : { sinceNanos: BigInt(Math.floor(parseTime(query.since, now).getTime())) * 1_000_000n };
  const source = engine.events.subscribe(since, stop);
  const output = openJsonStream(call);
  for await (const event of source) {
    if (until !== undefined && event.timeNanos > BigInt(until) * 1_000_000n) break;
    if (event.type !== 'sandbox' && isWanted(event, filters)) output.write(eventView(event));
  }
  output.end();
}

function isWanted({ type, action, id, attributes }: EngineEvent, filters: Filters): boolean {
  const names = (kind: string): boolean => matchesAny(filters, kind, (value) => type === kind && (id === value || id.startsWith(value) || attributes['name'] === value || attributes['image'] === value));
  const ofImage = matchesAny(filters, 'image', (value) => (type === 'image' ? id === value || attributes['name'] === value : attributes['image'] === value));
  return (
    matchesAny(filters, 'type', (value) => type === value) && matchesAny(filters, 'event', (value) => action === value || action.startsWith(`${value}:`)) && matchesAny(filters, 'scope', (value) => value === 'local') &&
    matchesAny(filters, 'daemon', () => false) && names('container') && names('network') && names('volume') && ofImage &&
    (filters.get('label') ?? []).every((label) => (label.includes('=') ? attributes[label.split('=', 1)[0] ?? ''] === label.slice(label.indexOf('=') + 1) : label in attributes))
  );
}

function eventView({ type, action, id, attributes, timeNanos }: EngineEvent): Record<string, unknown> {
  const legacy = type === 'container' ? { status: action, id, from: attributes['image'] ?? '' } : type === 'image' ? { status: action, id } : {};
  return { ...legacy, Type: type, Action: action, Actor: { ID: id, Attributes: attributes }, scope: 'local', time: Number(timeNanos / 1_000_000_000n), timeNano: Number(timeNanos) };
}

const authSchema = z.looseObject({ username: z.string().optional(), password: z.string().optional(), serveraddress: z.string().optional(), identitytoken: z.string().optional() });

/** `docker login`: asks the registry. */
async function auth(call: Call, { registry }: DockerServices): Promise<void> {
  const { username = '', password = '', identitytoken = '', serveraddress = '' } = await readJson(call, authSchema);
  const credentials = { username, password, ...(identitytoken === '' ? {} : { identityToken: identitytoken }) };
  // The hub's address has been that of its index for longer than there has been a second version.
  const host = serveraddress.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  const { identityToken = identitytoken } = registry === undefined ? {} : await registry.login(host === '' || host === 'index.docker.io' ? 'docker.io' : host, credentials, call.signal);
  sendJson(call, 200, { Status: 'Login Succeeded', IdentityToken: identityToken });
}

/** `docker system df`: everything is measured when it is asked for. */
async function diskUsage(call: Call, services: DockerServices, { type }: { type: string[] }): Promise<void> {
  const { engine, images } = services;
  const wants = (name: string): boolean => type.length === 0 || type.includes(name);
  const unknown = type.find((name) => !['image', 'container', 'volume', 'build-cache'].includes(name));
  if (unknown !== undefined) throw new GantryError('invalid', `unknown object type: ${unknown}`);
  const containers = engine.containers.list();
  const shared = sharedSizes(images);
  const usersOf = (volume: string): number => containers.filter(({ spec }) => spec.mounts.some((mount) => mount.type === 'volume' && mount.volume === volume)).length;
  const answer = {
    LayersSize: images.layersBytes(),
    Images: wants('image') ? images.list().map((image) => imageSummaryView(image, call.apiVersion, { containers: containers.filter(({ spec }) => spec.image.id === image.id).length, sharedBytes: shared.get(image.id) ?? 0 })) : null,
    Containers: wants('container') ? await Promise.all(containers.map(async (record) => summaryView(record, engine, call.apiVersion, await sizesOf(services, record)))) : null,
    Volumes: wants('volume') ? await Promise.all(engine.volumes.list().map(async (volume) => ({ ...volumeView(volume), UsageData: { Size: await folderBytes(volume.mountpoint), RefCount: usersOf(volume.name) } }))) : null,
    BuildCache: wants('build-cache') ? await buildCache(services, call.signal) : null,
  };
  sendJson(call, 200, forVersion(answer, diskUsageFields, call.apiVersion));
}

/** What the builder keeps. A layer that an image has too is not got back by forgetting the step. */
async function buildCache({ builder, images }: DockerServices, signal: AbortSignal): Promise<Record<string, unknown>[]> {
  const shared = new Set<string>(images.list().flatMap(({ layers }) => layers));
  const entries = (await builder?.cache?.list(signal)) ?? [];
  return entries.map(({ id, type, description, sizeBytes, layer, isInUse, createdAt, usedAt }) => ({
    ID: id, Parent: '', Type: type, Description: description, InUse: isInUse, Shared: layer !== undefined && shared.has(layer), Size: sizeBytes, CreatedAt: createdAt ?? usedAt, LastUsedAt: usedAt, UsageCount: 1,
  }));
}

/** Whether an error only says that the client has gone. */
export function isGone(error: unknown): boolean {
  return isError(error, 'cancelled');
}

/** What asks for something of a swarm: as a node that is in none answers. */
function noSwarm(name: string): Route {
  const answer = (): Promise<void> => Promise.reject(new GantryError('unavailable', 'This node is not a swarm manager, and cannot become one; use the Kubernetes API'));
  return { ...refusedRoute('GET', `/${name}`, 'Swarm', 'this engine is not part of a swarm; use the Kubernetes API'), handle: answer };
}

export const systemRoutes: readonly Route[] = [
  route({ method: 'GET', path: '/_ping', summary: 'Ping', handle: ping }),
  route({ method: 'HEAD', path: '/_ping', summary: 'Ping', handle: ping }),
  route({ method: 'GET', path: '/version', summary: 'Version', handle: version }),
  route({ method: 'GET', path: '/info', summary: 'System information', handle: info }),
  route({ method: 'GET', path: '/events', summary: 'Monitor events', note: 'keeps the last 1000 events, until the agent restarts', query: { since: text, until: text, filters: text }, handle: events }),
  route({ method: 'POST', path: '/auth', summary: 'Check auth configuration', handle: auth }),
  route({ method: 'GET', path: '/system/df', summary: 'Data usage', query: { type: list }, handle: diskUsage }),
  refusedRoute('POST', '/session', 'Interactive session', "BuildKit's session protocol is not spoken here; docker build uses the classic end point"),
  refusedRoute('POST', '/grpc', 'BuildKit connection', "BuildKit's protocol is not spoken here"),
  ...['swarm', 'nodes', 'services', 'tasks', 'secrets', 'configs'].map(noSwarm),
  refusedRoute('POST', '/swarm/{action}', 'Swarm', 'this engine is not part of a swarm; use the Kubernetes API'),
  route({ method: 'GET', path: '/plugins', summary: 'List plugins', note: 'there are none', query: { filters: text }, handle: (call) => sendJson(call, 200, []) }),
  route({ method: 'GET', path: '/plugins/{name...}/json', summary: 'Inspect a plugin', note: 'there are none', handle: (call) => Promise.reject(new GantryError('not-found', `plugin ${JSON.stringify(call.params['name'])} not found`)) }),
];
