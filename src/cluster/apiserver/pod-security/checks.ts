import { isFields, type k8s } from '../../../api/mod.ts';

/** What a pod does that a level forbids: the check's words and the details. */
export interface Violation { readonly reason: string; readonly detail: string }

/** `minor`: the release of Kubernetes whose standards are asked for, v1.MINOR. */
type Check = (spec: k8s.PodSpec, minor: number) => Violation | undefined;
type Container = k8s.Container | k8s.EphemeralContainer;

const containersOf = (spec: k8s.PodSpec): Container[] => [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])];
const quoted = (names: readonly string[]): string => names.map((name) => JSON.stringify(name)).join(', ');
const plural = (count: number, one: string, many = `${one}s`): string => (count === 1 ? one : many);
const containerWord = (names: readonly string[]): string => `${plural(names.length, 'container')} ${quoted(names)}`;

function namesWhere(spec: k8s.PodSpec, isBad: (container: Container) => boolean): string[] {
  return containersOf(spec).filter(isBad).map(({ name }) => name);
}

/** A violation when there are such containers. */
function byContainers(reason: string, names: readonly string[], what: string): Violation | undefined {
  return names.length === 0 ? undefined : { reason, detail: `${containerWord(names)} ${what}` };
}

const hostNamespaces: Check = ({ hostNetwork, hostPID, hostIPC }) => {
  const used = Object.entries({ hostNetwork, hostPID, hostIPC }).filter(([, value]) => value === true).map(([name]) => `${name}=true`);
  return used.length === 0 ? undefined : { reason: 'host namespaces', detail: used.join(', ') };
};

const hostPathVolumes: Check = ({ volumes = [] }) => {
  const names = volumes.filter(({ hostPath }) => hostPath !== undefined).map(({ name }) => name);
  return names.length === 0 ? undefined : { reason: 'hostPath volumes', detail: `${plural(names.length, 'volume')} ${quoted(names)}` };
};

const hostPorts: Check = (spec) => {
  const ports = new Set<number>();
  const names = namesWhere(spec, ({ ports: given = [] }) => {
    const used = given.flatMap(({ hostPort }) => (hostPort === undefined || hostPort === 0 ? [] : [hostPort]));
    for (const port of used) ports.add(port);
    return used.length > 0;
  });
  return byContainers('hostPort', names, `${plural(names.length, 'uses', 'use')} ${plural(ports.size, 'hostPort')} ${[...ports].toSorted((a, b) => a - b).join(', ')}`);
};

const privileged: Check = (spec) => byContainers('privileged', namesWhere(spec, ({ securityContext }) => securityContext?.privileged === true), 'must not set securityContext.privileged=true');

const defaultCapabilities = new Set(['AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD', 'NET_BIND_SERVICE', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT']);

const capabilitiesBaseline: Check = (spec) => {
  const added = new Set<string>();
  const names = namesWhere(spec, ({ securityContext }) => {
    const bad = (securityContext?.capabilities?.add ?? []).filter((name) => !defaultCapabilities.has(name));
    for (const name of bad) added.add(name);
    return bad.length > 0;
  });
  return byContainers('non-default capabilities', names, `must not include ${quoted([...added].toSorted())} in securityContext.capabilities.add`);
};

const procMount: Check = (spec) => byContainers('procMount', namesWhere(spec, ({ securityContext }) => (securityContext?.procMount ?? 'Default') !== 'Default'), 'must not set securityContext.procMount to "Unmasked"');

/** Safe sysctls with the release since which they count as safe. */
const safeSysctls: Readonly<Record<string, number>> = {
  ...{ 'kernel.shm_rmid_forced': 0, 'net.ipv4.ip_local_port_range': 0, 'net.ipv4.tcp_syncookies': 0, 'net.ipv4.ping_group_range': 0, 'net.ipv4.ip_unprivileged_port_start': 0 },
  ...{ 'net.ipv4.ip_local_reserved_ports': 27, 'net.ipv4.tcp_keepalive_time': 29, 'net.ipv4.tcp_fin_timeout': 29, 'net.ipv4.tcp_keepalive_intvl': 29, 'net.ipv4.tcp_keepalive_probes': 29 },
  ...{ 'net.ipv4.tcp_rmem': 32, 'net.ipv4.tcp_wmem': 32 },
};

const sysctls: Check = ({ securityContext }, minor) => {
  const bad = (securityContext?.sysctls ?? []).map(({ name }) => name).filter((name) => (safeSysctls[name] ?? Infinity) > minor);
  return bad.length === 0 ? undefined : { reason: 'forbidden sysctls', detail: bad.toSorted().join(', ') };
};

const handlerHosts = (handler: { httpGet?: k8s.HTTPGetAction; tcpSocket?: k8s.TCPSocketAction } | undefined): string[] => [handler?.httpGet?.host, handler?.tcpSocket?.host].filter((host) => host !== undefined && host !== '') as string[];

const probeHosts: Check = (spec) => {
  const hosts = new Set<string>();
  const names = namesWhere(spec, ({ livenessProbe, readinessProbe, startupProbe, lifecycle }) => {
    const found = [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop].flatMap(handlerHosts);
    for (const host of found) hosts.add(host);
    return found.length > 0;
  });
  return byContainers('probe or lifecycle host', names.toSorted(), `${plural(names.length, 'uses', 'use')} ${plural(hosts.size, 'probe or lifecycle host')} ${quoted([...hosts].toSorted())}`);
};

const hostProcess: Check = (spec) => {
  const isHost = (options: unknown): boolean => isFields(options) && options['hostProcess'] === true;
  const names = namesWhere(spec, ({ securityContext }) => isHost(securityContext?.windowsOptions));
  const subjects = [...(isHost(spec.securityContext?.windowsOptions) ? ['pod'] : []), ...(names.length === 0 ? [] : [containerWord(names)])];
  return subjects.length === 0 ? undefined : { reason: 'hostProcess', detail: `${subjects.join(' and ')} must not set securityContext.windowsOptions.hostProcess=true` };
};

/** A profile that is set to something bad, on the pod or on containers. */
function badProfiles(spec: k8s.PodSpec, reason: string, field: string, typeOf: (context: Record<string, unknown>) => string | undefined): Violation | undefined {
  const read = (context: unknown): string | undefined => (isFields(context) ? typeOf(context) : undefined);
  const found = new Set<string>();
  const note = (type: string | undefined): boolean => type !== undefined && found.add(type) !== undefined;
  const isPod = note(read(spec.securityContext));
  const names = namesWhere(spec, ({ securityContext }) => note(read(securityContext)));
  const subjects = [...(isPod ? ['pod'] : []), ...(names.length === 0 ? [] : [containerWord(names)])];
  return subjects.length === 0 ? undefined : { reason, detail: `${subjects.join(' and ')} must not set ${field} to ${quoted([...found].toSorted())}` };
}

function typeIn(context: Record<string, unknown>, field: string, allowed: readonly string[]): string | undefined {
  const profile = context[field];
  const type = isFields(profile) ? profile['type'] : undefined;
  return typeof type === 'string' && type !== '' && !allowed.includes(type) ? type : undefined;
}

const appArmor: Check = (spec) => badProfiles(spec, 'forbidden AppArmor profile', 'AppArmor profile type', (context) => typeIn(context, 'appArmorProfile', ['RuntimeDefault', 'Localhost']));
const seccompBaseline: Check = (spec) => badProfiles(spec, 'seccompProfile', 'securityContext.seccompProfile.type', (context) => typeIn(context, 'seccompProfile', ['RuntimeDefault', 'Localhost']));
const seLinux: Check = (spec, minor) => {
  const types = ['container_t', 'container_init_t', 'container_kvm_t', ...(minor < 31 ? [] : ['container_engine_t'])];
  return badProfiles(spec, 'seLinuxOptions', 'securityContext.seLinuxOptions.type', (context) => typeIn(context, 'seLinuxOptions', types));
};

const allowPrivilegeEscalation: Check = (spec) => byContainers('allowPrivilegeEscalation != false', namesWhere(spec, ({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false), 'must set securityContext.allowPrivilegeEscalation=false');

const capabilitiesRestricted: Check = (spec) => {
  const undropped = namesWhere(spec, ({ securityContext }) => securityContext?.capabilities?.drop?.includes('ALL') !== true);
  const added = new Set<string>();
  const adding = namesWhere(spec, ({ securityContext }) => {
    const bad = (securityContext?.capabilities?.add ?? []).filter((name) => name !== 'NET_BIND_SERVICE');
    for (const name of bad) added.add(name);
    return bad.length > 0;
  });
  const details = [
    ...(undropped.length === 0 ? [] : [`${containerWord(undropped)} must set securityContext.capabilities.drop=["ALL"]`]),
    ...(adding.length === 0 ? [] : [`${containerWord(adding)} must not include ${quoted([...added].toSorted())} in securityContext.capabilities.add`]),
  ];
  return details.length === 0 ? undefined : { reason: 'unrestricted capabilities', detail: details.join('; ') };
};

const allowedVolumes = new Set(['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'image', 'persistentVolumeClaim', 'projected', 'secret']);

const restrictedVolumes: Check = ({ volumes = [] }) => {
  const types = new Set<string>();
  const names = volumes.flatMap(({ name, ...sources }) => {
    const bad = Object.keys(sources).filter((source) => !allowedVolumes.has(source));
    for (const type of bad) types.add(type);
    return bad.length === 0 ? [] : [name];
  });
  if (names.length === 0) return undefined;
  return { reason: 'restricted volume types', detail: `${plural(names.length, 'volume')} ${quoted(names)} ${plural(names.length, 'uses', 'use')} restricted volume ${plural(types.size, 'type')} ${quoted([...types].toSorted())}` };
};

const runAsNonRoot: Check = (spec) => {
  const pod = spec.securityContext?.runAsNonRoot;
  const explicit = namesWhere(spec, ({ securityContext }) => securityContext?.runAsNonRoot === false);
  const bad = [...(pod === false ? ['pod'] : []), ...(explicit.length === 0 ? [] : [containerWord(explicit)])];
  if (bad.length > 0) return { reason: 'runAsNonRoot != true', detail: `${bad.join(' and ')} must not set securityContext.runAsNonRoot=false` };
  const implicit = pod === true ? [] : namesWhere(spec, ({ securityContext }) => securityContext?.runAsNonRoot === undefined);
  return implicit.length === 0 ? undefined : { reason: 'runAsNonRoot != true', detail: `pod or ${containerWord(implicit)} must set securityContext.runAsNonRoot=true` };
};

const runAsUser: Check = (spec) => {
  const names = namesWhere(spec, ({ securityContext }) => securityContext?.runAsUser === 0);
  const bad = [...(spec.securityContext?.runAsUser === 0 ? ['pod'] : []), ...(names.length === 0 ? [] : [containerWord(names)])];
  return bad.length === 0 ? undefined : { reason: 'runAsUser=0', detail: `${bad.join(' and ')} must not set runAsUser=0` };
};

const seccompRestricted: Check = (spec, minor) => {
  const bad = seccompBaseline(spec, minor);
  if (bad !== undefined) return bad;
  const isPodSet = (spec.securityContext?.seccompProfile?.type ?? '') !== '';
  const unset = isPodSet ? [] : namesWhere(spec, ({ securityContext }) => (securityContext?.seccompProfile?.type ?? '') === '');
  return unset.length === 0 ? undefined : { reason: 'seccompProfile', detail: `pod or ${containerWord(unset)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"` };
};

/** A check holds from a release on; from 1.25 on some do not concern pods for Windows. */
interface Rule { readonly check: Check; readonly since?: number; readonly isLinuxOnly?: boolean }

/** The rules of the two levels, in the order their findings are told. */
const shared: readonly Rule[] = [{ check: appArmor }, { check: hostNamespaces }, { check: hostPorts }, { check: probeHosts, since: 34 }, { check: privileged }, { check: procMount }, { check: seLinux }, { check: sysctls }, { check: hostProcess }];
const baselineOnly: readonly Rule[] = [{ check: capabilitiesBaseline }, { check: hostPathVolumes }, { check: seccompBaseline }];
const restrictedOnly: readonly Rule[] = [
  { check: allowPrivilegeEscalation, since: 8, isLinuxOnly: true },
  { check: capabilitiesRestricted, since: 22, isLinuxOnly: true },
  { check: restrictedVolumes },
  { check: runAsNonRoot },
  { check: runAsUser, since: 23 },
  { check: seccompRestricted, since: 19, isLinuxOnly: true },
];
/** Before there was a stricter form, `restricted` had that of `baseline`. */
const replaced = new Map<Check, Rule | undefined>([[capabilitiesBaseline, restrictedOnly[1]], [seccompBaseline, restrictedOnly[5]], [hostPathVolumes, restrictedOnly[2]]]);

export type Level = 'privileged' | 'baseline' | 'restricted';

/** The newest release whose standards are known; later ones are held to these. */
export const newestMinor = 34;

/** What a pod does that the level of a release forbids (Kubernetes documentation, "Pod Security Standards"), as one text; empty when nothing. */
export function violations(level: Level, spec: k8s.PodSpec, minor = newestMinor): string {
  if (level === 'privileged') return '';
  const asked = Math.min(minor, newestMinor);
  const applies = ({ since = 0, isLinuxOnly = false }: Rule): boolean => asked >= since && !(isLinuxOnly && asked >= 25 && spec.os?.name === 'windows');
  const inherited = level === 'baseline' ? baselineOnly : baselineOnly.filter(({ check }) => (replaced.get(check)?.since ?? 0) > asked);
  const rules = [...shared, ...inherited, ...(level === 'restricted' ? restrictedOnly : [])].filter(applies);
  const found = rules.flatMap(({ check }) => check(spec, asked) ?? []);
  return found.map(({ reason, detail }) => `${reason} (${detail})`).join(', ');
}
