import { GantryError, type ErrorPlace } from '../../kernel/mod.ts';
import { normalizeCapability } from '../bundle/capabilities.ts';
import { checkResources } from '../bundle/resources.ts';
import type { ContainerSpec } from '../types.ts';
import { systemMountRefusal } from './guarded-paths.ts';
import { isNamespacedSysctl } from './namespaced-sysctl.ts';
import { parseSignal } from './signals.ts';
import { userNamespaceConflict } from './user-namespace.ts';

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** Whether a container can have the name. */
export function isContainerName(name: string): boolean {
  return namePattern.test(name) && name.length <= 255;
}

/** `invalid`, naming every field that is wrong. What only the host can tell (paths, users) is found out at start. */
export function validateSpec(spec: ContainerSpec): void {
  const places: ErrorPlace[] = [];
  const check = (isGood: boolean, field: string, message: string): void => {
    if (!isGood) places.push({ field, message });
  };
  const attempt = (field: string, work: () => unknown): void => {
    try {
      work();
    } catch (error) {
      if (error instanceof GantryError) places.push({ field, message: error.message });
      else throw error;
    }
  };
  check(isContainerName(spec.name), 'name', `Invalid container name (${spec.name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  check(spec.args.length > 0 && spec.args[0] !== '', 'args', 'No command specified');
  check(![...spec.args, ...spec.env].some((text) => text.includes('\0')), 'args', 'zero bytes are not allowed');
  for (const variable of spec.env.filter((variable) => variable.indexOf('=') < 1)) check(false, 'env', `invalid environment variable: ${variable}`);
  check(spec.workingDir === '' || spec.workingDir.startsWith('/'), 'workingDir', `the working directory '${spec.workingDir}' is invalid, it needs to be an absolute path`);
  check(/^[a-zA-Z0-9]?[a-zA-Z0-9.-]{0,62}$/.test(spec.hostname), 'hostname', `invalid hostname ${spec.hostname}`);
  attempt('stopSignal', () => parseSignal(spec.stopSignal));
  attempt('security.addCapabilities', () => spec.security.addCapabilities.map((name) => capability('CapAdd', name)));
  attempt('security.dropCapabilities', () => spec.security.dropCapabilities.map((name) => capability('CapDrop', name)));
  attempt('resources', () => checkResources(spec.resources));
  checkMounts(spec, check);
  checkHealth(spec, check);
  checkSysctls(spec, check);
  check(spec.network.mode === 'bridge' || spec.ports.length === 0, 'ports', 'ports can only be published on a bridge network');
  const conflict = userNamespaceConflict(spec);
  check(conflict === undefined, 'namespaces.user', conflict ?? '');
  check(spec.log.maxFiles >= 1 && spec.log.maxSizeBytes >= 1024, 'log', 'a log keeps at least one file of 1 KiB');
  if (places.length > 0) throw new GantryError('invalid', places.map(({ message }) => message).join('; '), { places });
}

function capability(field: string, name: string): void {
  try {
    normalizeCapability(name);
  } catch (error) {
    throw new GantryError('invalid', `invalid ${field}: unknown capability: "${name.toUpperCase().startsWith('CAP_') ? '' : 'CAP_'}${name.toUpperCase()}"`, { cause: error });
  }
}

/** Times of a health check are nothing (the default) or at least a millisecond. */
function checkHealth({ healthcheck }: ContainerSpec, check: Check): void {
  const times = { Interval: healthcheck?.Interval, Timeout: healthcheck?.Timeout, StartPeriod: healthcheck?.StartPeriod, StartInterval: healthcheck?.StartInterval };
  for (const [name, nanoseconds = 0] of Object.entries(times)) check(nanoseconds === 0 || nanoseconds >= 1_000_000, 'healthcheck', `${name} in Healthcheck cannot be less than 1ms`);
  check((healthcheck?.Retries ?? 0) >= 0, 'healthcheck', 'Retries in Healthcheck cannot be negative');
}

type Check = (isGood: boolean, field: string, message: string) => void;

function checkMounts(spec: ContainerSpec, check: Check): void {
  const seen = new Set<string>();
  for (const [index, mount] of spec.mounts.entries()) {
    const field = `mounts[${index}]`;
    const target = mount.target.replace(/\/+$/, '');
    check(mount.target.startsWith('/') && target !== '', field, `invalid mount target ${JSON.stringify(mount.target)}: an absolute path other than / is needed`);
    check(!seen.has(target), field, `Duplicate mount point: ${target}`);
    seen.add(target);
    const refusal = systemMountRefusal(mount);
    check(refusal === undefined, field, `invalid mount target ${JSON.stringify(mount.target)}: ${refusal ?? ''}`);
    if (mount.type === 'bind') check(mount.source.startsWith('/'), field, `invalid mount source ${JSON.stringify(mount.source)}: it must be an absolute path`);
  }
}

function checkSysctls(spec: ContainerSpec, check: Check): void {
  const ownsNetwork = spec.network.mode === 'bridge' || spec.network.mode === 'none';
  const ownsIpc = spec.namespaces.ipc.mode === 'private' || spec.namespaces.ipc.mode === 'shareable';
  for (const name of Object.keys(spec.sysctls)) {
    const isNamespaced = isNamespacedSysctl(name, { network: ownsNetwork, ipc: ownsIpc });
    check(isNamespaced, `sysctls.${name}`, `sysctl ${name} is not in a namespace of its own and would change the host`);
  }
}
