import { initTarget } from '../runtime/init-program.ts';
import type { IdRange } from '../../host/mod.ts';
import type { ContainerSpec } from '../types.ts';
import { toOciCapabilities } from './capabilities.ts';
import { type DevicePlan } from './devices.ts';
import { defaultMaskedPaths, defaultReadonlyPaths } from './masked-paths.ts';
import { type ResolvedMount, rootPropagation, systemMounts, userMounts } from './mounts.ts';
import type { OciIdMapping, OciNamespace, OciProcess, OciResources, OciSeccomp, OciSpec } from './oci-spec.ts';
import type { ResolvedUser } from './user.ts';

/** What the engine found out or made on the host for one run of a container; with the spec it determines config.json. */
export interface BundleFacts {
  readonly containerId: string;
  readonly rootfsPath: string;
  readonly cgroupVersion: 1 | 2;
  /** Path below each cgroup hierarchy's mount. */
  readonly cgroupPath: string;
  readonly hostname: string;
  readonly user: ResolvedUser;
  /** The bounding set that can be granted. */
  readonly capabilities: readonly string[];
  readonly seccomp: OciSeccomp | undefined;
  readonly rlimits: OciProcess['rlimits'];
  readonly resources: Omit<OciResources, 'devices'>;
  readonly devices: DevicePlan;
  /** The spec's mounts and the engine's own files, with host sources. */
  readonly mounts: readonly ResolvedMount[];
  /** File of the namespace to join; `new` makes one, `host` keeps the host's. */
  readonly namespaces: Readonly<Record<'network' | 'ipc' | 'uts' | 'pid' | 'cgroup', NamespaceSource>>;
  /** Host folder of a shared /dev/shm; undefined: its own. */
  readonly sharedShmPath: string | undefined;
  readonly oomScoreAdj: number | undefined;
  /** Undefined: the host's. */
  readonly userNamespace: { readonly file: string; readonly range: IdRange } | undefined;
}

export type NamespaceSource = { kind: 'new' } | { kind: 'host' } | { kind: 'join'; path: string };

/** config.json of a container. Pure. */
export function planBundle(spec: ContainerSpec, facts: BundleFacts): OciSpec {
  const { security } = spec;
  const ownsUts = facts.namespaces.uts.kind === 'new';
  const propagation = rootPropagation(facts.mounts);
  return {
    ociVersion: '1.0.2',
    process: planProcess(spec, facts),
    root: { path: facts.rootfsPath, readonly: security.isReadOnlyRoot },
    ...(ownsUts ? { hostname: facts.hostname } : {}),
    mounts: [...planSystemMounts(spec, facts), ...userMounts(facts.mounts)],
    annotations: spec.annotations,
    linux: {
      namespaces: planNamespaces(facts),
      resources: { devices: facts.devices.rules, ...facts.resources },
      cgroupsPath: facts.cgroupPath,
      devices: facts.devices.devices,
      ...(facts.seccomp === undefined ? {} : { seccomp: facts.seccomp }),
      maskedPaths: security.isPrivileged ? [] : [...(security.maskedPaths ?? defaultMaskedPaths)],
      readonlyPaths: security.isPrivileged ? [] : [...(security.readonlyPaths ?? defaultReadonlyPaths)],
      // The runtime spec has no field for the domain name before 1.1.
      sysctl: ownsUts && spec.domainname !== undefined && spec.domainname !== '' ? { ...spec.sysctls, 'kernel.domainname': spec.domainname } : spec.sysctls,
      ...(propagation === undefined ? {} : { rootfsPropagation: propagation }),
      ...(facts.userNamespace === undefined ? {} : { uidMappings: idMappings(facts.userNamespace.range), gidMappings: idMappings(facts.userNamespace.range) }),
    },
  };
}

function planSystemMounts(spec: ContainerSpec, facts: BundleFacts) {
  const targets = new Set(facts.mounts.map(({ target }) => target));
  const isOwnNet = facts.namespaces.network.kind !== 'host';
  return systemMounts({
    isPrivileged: spec.security.isPrivileged,
    cgroupVersion: facts.cgroupVersion,
    shm: facts.sharedShmPath === undefined ? { kind: 'own', sizeBytes: spec.shmSizeBytes } : { kind: 'shared', hostPath: facts.sharedShmPath },
    sysfs: isOwnNet || facts.userNamespace === undefined ? 'mount' : 'bind',
    // A mount of the caller's takes the place of the system's (`--tmpfs /dev/shm`).
  }).filter(({ destination }) => !targets.has(destination));
}

function planProcess(spec: ContainerSpec, facts: BundleFacts): OciProcess {
  const { user } = facts;
  return {
    terminal: spec.tty,
    ...(spec.tty && spec.terminalSize !== undefined ? { consoleSize: spec.terminalSize } : {}),
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    args: spec.init ? [initTarget, '--', ...spec.args] : spec.args,
    env: planEnvironment(spec.env, { home: user.home, hostname: facts.hostname, tty: spec.tty }),
    cwd: spec.workingDir === '' ? '/' : spec.workingDir,
    capabilities: toOciCapabilities(facts.capabilities, user.uid),
    rlimits: facts.rlimits,
    noNewPrivileges: spec.security.noNewPrivileges,
    ...(spec.security.apparmorProfile === undefined ? {} : { apparmorProfile: spec.security.apparmorProfile }),
    ...(facts.oomScoreAdj === undefined ? {} : { oomScoreAdj: facts.oomScoreAdj }),
  };
}

/** The environment with what every process expects; what the caller set wins, of repeated names the last. */
export function planEnvironment(env: readonly string[], defaults: { home: string; hostname: string; tty: boolean }): string[] {
  const values = new Map<string, string>([
    ['PATH', '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    ['HOSTNAME', defaults.hostname],
    ...(defaults.tty ? [['TERM', 'xterm'] as const] : []),
    ['HOME', defaults.home],
  ]);
  for (const variable of env) {
    const equals = variable.indexOf('=');
    if (equals > 0) values.set(variable.slice(0, equals), variable.slice(equals + 1));
  }
  return [...values].map(([name, value]) => `${name}=${value}`);
}

function planNamespaces(facts: BundleFacts): OciNamespace[] {
  const { namespaces } = facts;
  const one = (type: OciNamespace['type'], source: NamespaceSource): OciNamespace[] =>
    source.kind === 'host' ? [] : [source.kind === 'new' ? { type } : { type, path: source.path }];
  return [
    { type: 'mount' },
    ...one('pid', namespaces.pid),
    ...one('network', namespaces.network),
    ...one('ipc', namespaces.ipc),
    ...one('uts', namespaces.uts),
    ...one('cgroup', namespaces.cgroup),
    ...(facts.userNamespace === undefined ? [] : [{ type: 'user' as const, path: facts.userNamespace.file }]),
  ];
}

function idMappings({ firstId, size }: IdRange): OciIdMapping[] {
  return [{ containerID: 0, hostID: firstId, size }];
}

/** 2^64 - 1 is no JavaScript number; JSON.stringify writes its neighbour, which the runtime refuses. */
export function serializeSpec(spec: object): string {
  return JSON.stringify(spec).replaceAll(':18446744073709552000', ':18446744073709551615');
}
