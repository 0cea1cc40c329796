import type { Healthcheck } from '../../../api/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import type { Image } from '../../images/types.ts';
import type { ContainerId, ContainerLink, ContainerSpec, DeviceSpec, EndpointSpec, LogOptions, MountSpec, NetworkAttachment } from '../../types.ts';
import type { CreateContainerRequest, EndpointRequest, HostConfigRequest } from '../requests/create-container.ts';
import { hostConfigSchema } from '../requests/create-container.ts';
import { parseLink, planLinks } from './links.ts';
import { type PlannedMount, planMounts } from './mounts.ts';
import { parseContainerPort, planPorts } from './ports.ts';
import { parseDeviceRule, planNamespaces, planResources, planRestart, planSecurity } from './security.ts';

/** What the conversion of a request needs to know besides it. */
export interface CreateContext {
  readonly name: string;
  readonly image: Image;
  /** `HostConfig` as it was sent: inspect gives it back. */
  readonly hostConfig: Readonly<Record<string, unknown>>;
  /** Of the machine: what containers in its UTS namespace are called. */
  readonly hostName: string;
  /** Names of the OCI runtime that clients may ask for. */
  readonly runtimes: readonly string[];
  /** `not-found` when there is no such container. */
  readonly container: (idOrName: string) => { readonly id: ContainerId; readonly mounts: readonly MountSpec[]; /** What it exposes, as `80/tcp`. */ readonly ports: readonly string[] };
}

/** The engine's spec but for the mounts, whose volumes may still have to be made. */
export interface PlannedContainer { readonly spec: Omit<ContainerSpec, 'mounts'>; readonly mounts: readonly PlannedMount[] }

/** The request as it is answered by inspect: what the client said, with what the image adds. */
export interface ApiRecord {
  readonly Config: Record<string, unknown>;
  readonly HostConfig: Record<string, unknown>;
}

const defaultShmBytes = 64 * 2 ** 20;
const defaultStopSeconds = 10;
const defaultLog: LogOptions = { maxSizeBytes: 20 * 2 ** 20, maxFiles: 5 };

/** Height and width, as clients send them: without a terminal, or with none of their own, they mean nothing. */
function planTerminal(tty: boolean, size: readonly [number, number] | null | undefined): Pick<ContainerSpec, 'terminalSize'> {
  const [height = 0, width = 0] = size ?? [];
  if (height < 0 || width < 0 || height > 65_535 || width > 65_535) throw invalid('the height and width of the terminal are whole numbers up to 65535');
  return tty && height > 0 && width > 0 ? { terminalSize: { width, height } } : {};
}

/** Turns a create request into what the engine runs. `invalid` or `unsupported` name the field. */
export function planContainer(request: CreateContainerRequest, context: CreateContext): PlannedContainer {
  const host = request.HostConfig ?? hostConfigSchema.parse({});
  const image = context.image.config.config ?? {};
  checkRuntime(host, context);
  const { args, entrypoint, command } = mergeCommand(request, image);
  const exposed = [...new Set([...Object.keys(image.ExposedPorts ?? {}), ...Object.keys(request.ExposedPorts)].map(normalPort))];
  const { network, links } = withLinks(planNetwork(request, host, (name) => context.container(name).id), host, context);
  const sharesNames = host.UTSMode === 'host';
  if (sharesNames && firstText(request.Hostname) !== undefined) throw invalid('conflicting options: hostname and the UTS mode');
  const hostname = firstText(request.Hostname) ?? (network.mode === 'host' ? context.hostName : '');
  const autoRemove = host.AutoRemove ?? false;
  const tty = request.Tty ?? false;
  const healthcheck = mergeHealthcheck(request.Healthcheck, image.Healthcheck, request.Shell.length > 0 ? request.Shell : image.Shell);
  const env = mergeEnv(image.Env ?? [], request.Env);
  const labels = { ...image.Labels, ...request.Labels };
  const workingDir = firstText(request.WorkingDir, image.WorkingDir) ?? '/';
  const user = firstText(request.User, image.User) ?? '';
  const signal = firstText(request.StopSignal, image.StopSignal);
  const stopSignal = signal ?? 'SIGTERM';
  const volumes = [...new Set([...Object.keys(request.Volumes), ...Object.keys(image.Volumes ?? {})])];
  const record: ApiRecord = {
    Config: {
      Hostname: hostname, Domainname: request.Domainname ?? '', User: user, AttachStdin: request.AttachStdin ?? false, AttachStdout: request.AttachStdout ?? false,
      AttachStderr: request.AttachStderr ?? false, ...(exposed.length === 0 ? {} : { ExposedPorts: Object.fromEntries(exposed.map((port) => [port, {}])) }), Tty: tty, OpenStdin: request.OpenStdin ?? false,
      StdinOnce: request.StdinOnce ?? false, Env: env, Cmd: command ?? null, ...(healthcheck === undefined ? {} : { Healthcheck: healthcheck }), Image: request.Image,
      Volumes: volumes.length === 0 ? null : Object.fromEntries(volumes.map((path) => [path, {}])), WorkingDir: workingDir === '/' ? (firstText(request.WorkingDir, image.WorkingDir) ?? '') : workingDir,
      Entrypoint: entrypoint ?? null, OnBuild: null, Labels: labels, ...(signal === undefined ? {} : { StopSignal: signal }), ...(firstText(request.MacAddress) === undefined ? {} : { MacAddress: request.MacAddress }), ...(request.StopTimeout === undefined ? {} : { StopTimeout: request.StopTimeout }),
      ...(request.Shell.length === 0 ? {} : { Shell: request.Shell }),
    },
    HostConfig: Object.fromEntries(Object.entries(context.hostConfig).filter(([name, value]) => name in hostConfigSchema.shape && value !== undefined)),
  };
  const spec: Omit<ContainerSpec, 'mounts'> = {
    name: context.name,
    owner: { kind: 'user' },
    image: { id: context.image.id, reference: request.Image },
    args,
    env,
    workingDir,
    user,
    supplementalGroups: host.GroupAdd,
    hostname: sharesNames ? '' : hostname,
    ...(firstText(request.Domainname) === undefined ? {} : { domainname: request.Domainname }),
    tty,
    stdin: request.OpenStdin ?? false,
    stdinOnce: request.StdinOnce ?? false,
    ...planTerminal(tty, host.ConsoleSize),
    stopSignal,
    stopTimeoutSeconds: request.StopTimeout ?? defaultStopSeconds,
    labels,
    annotations: host.Annotations,
    devices: host.Devices.map(planDevice),
    ...(host.DeviceCgroupRules.length === 0 ? {} : { deviceRules: host.DeviceCgroupRules.map(parseDeviceRule) }),
    resources: planResources(host),
    security: planSecurity(host),
    namespaces: planNamespaces(host, (name) => context.container(name).id),
    network,
    ...(links.length === 0 ? {} : { links }),
    ports: network.mode === 'bridge' ? planPorts(host.PortBindings, exposed, host.PublishAllPorts ?? false) : [],
    extraHosts: host.ExtraHosts.map(parseExtraHost),
    dns: { servers: host.Dns, searches: host.DnsSearch, options: host.DnsOptions },
    sysctls: host.Sysctls,
    restart: planRestart(host.RestartPolicy, autoRemove),
    autoRemove,
    init: host.Init ?? false,
    shmSizeBytes: host.ShmSize === undefined || host.ShmSize === 0 ? defaultShmBytes : host.ShmSize,
    log: planLog(host.LogConfig),
    ...(healthcheck === undefined ? {} : { healthcheck }),
    apiRecord: record,
  };
  if (spec.shmSizeBytes < 0) throw invalid('SHM size can not be less than 0');
  return { spec, mounts: planMounts({ hostConfig: host, volumes, mountsOf: (name) => context.container(name).mounts }) };
}

/** Docker's rule: an entrypoint of the request drops the image's command; an empty one (`--entrypoint ''`) is none. */
function mergeCommand(request: CreateContainerRequest, image: { Entrypoint?: string[] | null; Cmd?: string[] | null }): { args: string[]; entrypoint: string[] | undefined; command: string[] | undefined } {
  const own = request.Entrypoint;
  const isReset = own?.length === 1 && own[0] === '';
  const entrypoint = isReset ? undefined : own !== undefined && own.length > 0 ? own : (image.Entrypoint ?? undefined);
  const hasOwnEntrypoint = own !== undefined && own.length > 0;
  const command = request.Cmd !== undefined && request.Cmd.length > 0 ? request.Cmd : hasOwnEntrypoint ? undefined : (image.Cmd ?? undefined);
  const args = [...(entrypoint ?? []), ...(command ?? [])];
  if (args.length === 0) throw invalid('No command specified');
  return { args, entrypoint, command };
}

/** The request's variables, then those of the image that it does not replace or remove (`NAME` without `=`). */
export function mergeEnv(image: readonly string[], own: readonly string[]): string[] {
  const nameOf = (variable: string): string => variable.split('=', 1)[0] ?? '';
  const ownNames = new Set(own.map(nameOf));
  return [...own, ...image.filter((variable) => !ownNames.has(nameOf(variable)))].filter((variable) => variable.includes('='));
}

/** What the request leaves out is the image's; `NONE` switches it off. A shell form runs in the image's shell. */
function mergeHealthcheck(own: Healthcheck | undefined, image: Healthcheck | undefined, shell: readonly string[] | undefined): Healthcheck | undefined {
  const merged: Healthcheck = { ...image, ...Object.fromEntries(Object.entries(own ?? {}).filter(([, value]) => value !== undefined && value !== 0)) };
  const test = own?.Test !== undefined && own.Test.length > 0 ? own.Test : image?.Test;
  const [kind, first] = test ?? [];
  if (test === undefined || kind === undefined || kind === 'NONE') return undefined;
  if (kind !== 'CMD' && kind !== 'CMD-SHELL') throw invalid(`Healthcheck.Test: unknown type ${JSON.stringify(kind)}; it begins with NONE, CMD or CMD-SHELL`);
  if (kind === 'CMD-SHELL' && shell !== undefined && shell.length > 0) return { ...merged, Test: ['CMD', ...shell, first ?? ''] };
  return { ...merged, Test: test };
}

function planNetwork(request: CreateContainerRequest, host: HostConfigRequest, containerId: (name: string) => ContainerId): NetworkAttachment {
  const mode = request.NetworkDisabled === true ? 'none' : (firstText(host.NetworkMode) ?? 'default');
  const endpoints = request.NetworkingConfig?.EndpointsConfig ?? {};
  if (mode === 'none') return { mode };
  // Docker discards published ports there and only warns: the ports are the host's anyway.
  if (mode === 'host') return { mode };
  if (mode.startsWith('container:')) return { mode: 'container', containerId: containerId(mode.slice('container:'.length)) };
  const main = mode === 'default' ? 'bridge' : mode;
  const own = endpoints[mode] ?? endpoints[main] ?? undefined;
  const others = Object.entries(endpoints).filter(([name]) => name !== mode && name !== main);
  return { mode: 'bridge', endpoints: [planEndpoint(main, own, request.MacAddress), ...others.map(([name, endpoint]) => planEndpoint(name, endpoint ?? undefined, undefined))] };
}

function withLinks(network: NetworkAttachment, host: HostConfigRequest, context: CreateContext): { network: NetworkAttachment; links: ContainerLink[] } {
  const { links, endpointLinks } = planLinks(host, network, context.container);
  if (network.mode !== 'bridge' || endpointLinks.length === 0) return { network, links };
  // Clients repeat them in the endpoint.
  const [main, ...others] = network.endpoints.map((endpoint, at) => (at === 0 && endpoint.links === undefined ? { ...endpoint, links: endpointLinks } : endpoint));
  return { network: main === undefined ? network : { mode: 'bridge', endpoints: [main, ...others] }, links };
}

/** How the container joins the network of that name. */
export function planEndpoint(network: string, endpoint: EndpointRequest | undefined, macAddress: string | undefined): EndpointSpec {
  const address = firstText(endpoint?.IPAMConfig?.IPv4Address);
  const address6 = firstText(endpoint?.IPAMConfig?.IPv6Address);
  const mac = firstText(endpoint?.MacAddress, macAddress);
  const priority = endpoint?.GwPriority ?? 0;
  return {
    network,
    aliases: endpoint?.Aliases ?? [],
    ...(endpoint === undefined || endpoint.Links.length === 0 ? {} : { links: endpoint.Links.map(parseLink) }),
    ...(address === undefined ? {} : { ipv4Address: address }),
    ...(address6 === undefined ? {} : { ipv6Address: address6 }),
    ...(mac === undefined ? {} : { macAddress: mac }),
    ...(priority === 0 ? {} : { gatewayPriority: priority }),
  };
}

function planDevice(device: HostConfigRequest['Devices'][number]): DeviceSpec {
  const permissions = firstText(device.CgroupPermissions) ?? 'rwm';
  if (!/^[rwm]{1,3}$/.test(permissions)) throw invalid(`invalid permissions ${JSON.stringify(permissions)} of device ${device.PathOnHost}`);
  return { hostPath: device.PathOnHost, containerPath: firstText(device.PathInContainer) ?? device.PathOnHost, permissions };
}

/** `name:address`; `host-gateway` is for the engine to know. */
function parseExtraHost(entry: string): { ip: string; names: string[] } {
  const separator = entry.search(/[:=]/);
  const [name, ip] = [entry.slice(0, separator), entry.slice(separator + 1).replace(/^\[(.*)\]$/, '$1')];
  if (separator < 1 || ip === '') throw invalid(`bad format for add-host: ${JSON.stringify(entry)}`);
  return { ip, names: [name] };
}

/** `--log-opt`. Only the size and number of files can be set; every log can be read by `docker logs`. */
function planLog(config: HostConfigRequest['LogConfig']): LogOptions {
  const type = firstText(config?.Type) ?? 'json-file';
  if (!['json-file', 'local'].includes(type)) throw new GantryError('unsupported', `HostConfig.LogConfig: the logging driver ${JSON.stringify(type)} is not supported; json-file and local are`);
  const options = { ...defaultLog };
  for (const [name, value] of Object.entries(config?.Config ?? {})) {
    if (name === 'max-size' && /^\d+[kmg]?$/i.test(value)) options.maxSizeBytes = sizeOf(value);
    else if (name === 'max-size' && value === '-1') options.maxSizeBytes = Number.MAX_SAFE_INTEGER;
    else if (name === 'max-file' && /^[1-9]\d{0,3}$/.test(value)) options.maxFiles = Number(value);
    else if (['max-size', 'max-file', 'mode'].includes(name)) {
      if (name !== 'mode' || value !== 'blocking') throw new GantryError('unsupported', `the value ${JSON.stringify(value)} of the log opt '${name}' is not supported`);
    } else throw new GantryError('unsupported', `unknown log opt '${name}' for ${type} log driver`);
  }
  return options;
}

function sizeOf(text: string): number {
  const units: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };
  return Number.parseInt(text, 10) * (units[text.slice(-1).toLowerCase()] ?? 1);
}

function checkRuntime(host: HostConfigRequest, { runtimes }: CreateContext): void {
  const runtime = firstText(host.Runtime);
  if (runtime !== undefined && !runtimes.includes(runtime)) throw invalid(`unknown or invalid runtime name: ${runtime}`);
  const isolation = firstText(host.Isolation);
  if (isolation !== undefined && isolation !== 'default') throw invalid(`invalid isolation '${isolation}' on linux`);
}

function normalPort(text: string): string {
  const { port, protocol } = parseContainerPort(text);
  return `${port}/${protocol}`;
}

function firstText(...texts: readonly (string | undefined)[]): string | undefined {
  return texts.find((text) => text !== undefined && text !== '');
}

function invalid(message: string): GantryError {
  return new GantryError('invalid', message);
}
