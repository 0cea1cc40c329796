import { defaultCapabilities, normalizeCapability } from '../bundle/capabilities.ts';
import type { ContainerSpec, MountSpec, NamespaceModes, PortBinding, Resources, SecurityOptions } from '../types.ts';
import type { Scope } from './scope.ts';

/** What the rules look up: only what belongs to the scope is found. */
export interface RuleContext {
  readonly scope: Scope;
  /** Whether the container is the scope's own. */
  readonly ownsContainer: (id: string) => boolean;
  readonly ownsVolume: (name: string) => boolean;
  /** The id of the scope's own network of that id or name; `not-found` otherwise. */
  readonly networkId: (idOrName: string) => string;
  /** Whether the image may be used. */
  readonly seesImage: (id: string) => boolean;
}

/** Either nothing of the field can harm, or the rule tells what the container gets instead, or throws. */
type Rules<T> = { readonly [K in keyof Required<T>]: 'harmless' | ((value: T[K], context: RuleContext) => T[K]) };

/**
 * What a scoped endpoint does with every field of a container. The type demands an entry for each: a field that is new to the engine
 * does not compile until somebody has decided what it means for those who are not trusted.
 */
const specRules: Rules<ContainerSpec> = {
  name: 'harmless',
  owner: (owner, { scope }) => {
    if (owner.kind !== 'user') throw scope.refusal('containers of pods');
    return owner;
  },
  scope: (_, { scope }) => ({ id: scope.id, ...limitsOf(scope) }),
  image: (image, { scope, seesImage }) => {
    if (!seesImage(image.id)) throw scope.refusal(`the image ${image.reference}`);
    return image;
  },
  args: 'harmless',
  env: 'harmless',
  workingDir: 'harmless',
  user: 'harmless',
  supplementalGroups: 'harmless',
  hostname: 'harmless',
  domainname: 'harmless',
  tty: 'harmless',
  stdin: 'harmless',
  stdinOnce: 'harmless',
  terminalSize: 'harmless',
  stopSignal: 'harmless',
  stopTimeoutSeconds: 'harmless',
  labels: (labels, { scope }) => ({ ...labels, ...scope.labels }),
  // Some runtimes take orders from annotations.
  annotations: (annotations, { scope }) => {
    if (Object.keys(annotations).length > 0) throw scope.refusal('annotations');
    return annotations;
  },
  mounts: (mounts, context) => mounts.map((mount) => admitMount(mount, context)),
  devices: (devices, { scope }) => {
    if (devices.length > 0) throw scope.refusal('devices of the host');
    return devices;
  },
  deviceRules: (rules, { scope }) => {
    if ((rules ?? []).length > 0) throw scope.refusal('rules for devices');
    return rules;
  },
  resources: (resources, { scope }) => admitResources(resources, scope),
  security: (security, context) => apply(securityRules, security, context),
  namespaces: (namespaces, context) => apply(namespaceRules, namespaces, context),
  network: (network, { scope, ownsContainer, networkId }) => {
    if (network.mode === 'none') return network;
    if (network.mode === 'container' && ownsContainer(network.containerId)) return network;
    if (network.mode !== 'bridge') throw scope.refusal(`the network mode ${network.mode}`);
    // By id: a name could be somebody else's network by the time the container starts.
    return { mode: 'bridge', endpoints: network.endpoints.map((endpoint) => ({ ...endpoint, network: networkId(endpoint.network) })) };
  },
  links: (links, { scope, ownsContainer }) => {
    const other = (links ?? []).find(({ containerId }) => !ownsContainer(containerId));
    if (other !== undefined) throw scope.refusal('links to containers that are not its own');
    return links;
  },
  ports: (ports, { scope }) => ports.map((port) => admitPort(port, scope)),
  extraHosts: 'harmless',
  // The engine forwards questions from the host's network, where loopback is the host's.
  dns: (dns, { scope }) => {
    const local = dns.servers.find((server) => /^(127\.|0\.|::1$|::$|::ffff:|169\.254\.|fe80:)/i.test(server));
    if (local !== undefined) throw scope.refusal(`the name server ${local}`);
    return dns;
  },
  // Only those of namespaces that are the container's own pass validation.
  sysctls: 'harmless',
  restart: 'harmless',
  autoRemove: 'harmless',
  init: 'harmless',
  shmSizeBytes: 'harmless',
  log: (log, { scope }) => {
    if (log.maxSizeBytes * log.maxFiles > maxLogBytes) throw scope.refusal(`logs of more than ${maxLogBytes} bytes`);
    return log;
  },
  healthcheck: 'harmless',
  // What inspect shows.
  apiRecord: (record, { scope }) => {
    const { Config: config } = (record ?? {}) as { Config?: { Labels?: Record<string, string> } };
    return config === undefined ? record : { ...(record as object), Config: { ...config, Labels: { ...config.Labels, ...scope.labels } } };
  },
};

const maxLogBytes = 256 * 2 ** 20;

const securityRules: Rules<SecurityOptions> = {
  isPrivileged: (isPrivileged, { scope }) => {
    if (isPrivileged) throw scope.refusal('privileged containers');
    return false;
  },
  isReadOnlyRoot: 'harmless',
  noNewPrivileges: 'harmless',
  addCapabilities: (names, { scope }) => {
    const added = names.map(normalizeCapability).find((name) => !defaultCapabilities.includes(name));
    if (added !== undefined) throw scope.refusal(`the capability ${added}`);
    return names;
  },
  dropCapabilities: 'harmless',
  seccomp: (seccomp, { scope }) => {
    // A profile of the client's own may allow anything.
    if (seccomp.kind !== 'default') throw scope.refusal('another seccomp profile than the default');
    return seccomp;
  },
  apparmorProfile: (profile, { scope }) => {
    if (profile !== undefined) throw scope.refusal(`the AppArmor profile ${profile}`);
    return profile;
  },
  maskedPaths: (paths, { scope }) => {
    if (paths !== undefined) throw scope.refusal('other masked paths than the default');
    return undefined;
  },
  readonlyPaths: (paths, { scope }) => {
    if (paths !== undefined) throw scope.refusal('other read-only paths than the default');
    return undefined;
  },
};

const namespaceRules: Rules<NamespaceModes> = {
  ipc: (ipc, { scope, ownsContainer }) => {
    if (ipc.mode === 'private' || ipc.mode === 'shareable' || (ipc.mode === 'container' && ownsContainer(ipc.containerId))) return ipc;
    throw scope.refusal(`the IPC mode ${ipc.mode}`);
  },
  pid: (pid, { scope, ownsContainer }) => {
    if (pid.mode === 'private' || (pid.mode === 'container' && ownsContainer(pid.containerId))) return pid;
    throw scope.refusal(`the PID mode ${pid.mode}`);
  },
  uts: (uts, { scope }) => {
    if (uts.mode !== 'private') throw scope.refusal(`the UTS mode ${uts.mode}`);
    return uts;
  },
  cgroup: (cgroup, { scope }) => {
    if (cgroup.mode !== 'private') throw scope.refusal(`the cgroup namespace mode ${cgroup.mode}`);
    return cgroup;
  },
  user: (user, { scope }) => {
    if (user.mode === 'host' || user.mode === 'remapped') throw scope.refusal(`the user namespace mode ${user.mode}`);
    return user;
  },
};

/** The container that the scope may make, or `forbidden` that names what it may not. */
export function admitContainer(spec: ContainerSpec, context: RuleContext): ContainerSpec {
  return apply(specRules, { scope: undefined, ...spec }, context);
}

function apply<T extends object>(rules: Rules<T>, value: T, context: RuleContext): T {
  const admitted = Object.entries(value).map(([key, field]) => {
    const rule = rules[key as keyof T] as 'harmless' | ((field: unknown, context: RuleContext) => unknown) | undefined;
    if (rule === undefined) throw context.scope.refusal(`the field ${key}`);
    return [key, rule === 'harmless' ? field : rule(field, context)];
  });
  return Object.fromEntries(admitted.filter(([, field]) => field !== undefined)) as T;
}

function admitMount(mount: MountSpec, { scope, ownsVolume }: RuleContext): MountSpec {
  if (mount.type === 'bind') throw scope.refusal(`the host folder ${mount.source}`);
  if (mount.type === 'volume' && !ownsVolume(mount.volume)) throw scope.refusal(`the volume ${mount.volume}`);
  return mount;
}

function admitPort(port: PortBinding, scope: Scope): PortBinding {
  const { publish } = scope.record.policy;
  const isLoopback = port.hostIp === '' || /^(127\.|::1$)/.test(port.hostIp);
  if (publish === 'none' || (publish === 'loopback' && !isLoopback)) throw scope.refusal(`publishing a port on ${port.hostIp === '' ? 'the host' : port.hostIp}`);
  // Those below are for services of the machine itself, whatever listens there now.
  if (port.hostPort !== 0 && port.hostPort < 1024) throw scope.refusal(`the host port ${port.hostPort}`);
  return port;
}

/** Limits under the ceiling of one container. */
export function admitResources(resources: Resources, scope: Scope): Resources {
  const { perContainer, total } = scope.record.policy;
  const memory = perContainer.memoryBytes ?? total.memoryBytes;
  const cpus = perContainer.cpus ?? total.cpus;
  const pids = perContainer.pids ?? total.pids;
  const over = (what: string): Error => scope.refusal(`more ${what} than one container may have`);
  if ((resources.memoryLimitBytes ?? 0) > memory) throw over('memory');
  if (resources.memorySwapBytes !== undefined && (resources.memorySwapBytes < 0 || resources.memorySwapBytes > 2 * memory)) throw over('swap');
  if ((resources.pidsLimit ?? 0) > pids) throw over('processes');
  if (resources.cpuQuotaMicros !== undefined && resources.cpuQuotaMicros / (resources.cpuPeriodMicros ?? 100_000) > cpus) throw over('CPU');
  if ((resources.oomScoreAdj ?? 0) < 0 || resources.oomKillDisable === true) throw scope.refusal('containers that the kernel spares when memory is short');
  // They would tell which files the host has.
  if ((resources.blockDevices ?? []).length > 0) throw scope.refusal('limits of single devices');
  const quota = perContainer.cpus === undefined || resources.cpuQuotaMicros !== undefined ? {} : { cpuQuotaMicros: Math.round(perContainer.cpus * 100_000), cpuPeriodMicros: 100_000 };
  return {
    ...resources,
    ...(perContainer.memoryBytes === undefined || resources.memoryLimitBytes !== undefined ? {} : { memoryLimitBytes: perContainer.memoryBytes }),
    ...(perContainer.pids === undefined || resources.pidsLimit !== undefined ? {} : { pidsLimit: perContainer.pids }),
    ...quota,
  };
}

function limitsOf({ record: { policy: { total } } }: Scope): Omit<NonNullable<ContainerSpec['scope']>, 'id'> {
  return { memoryLimitBytes: total.memoryBytes, cpuQuotaMicros: Math.round(total.cpus * 100_000), pidsLimit: total.pids };
}
