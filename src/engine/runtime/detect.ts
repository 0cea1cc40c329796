import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { baseEnv, GantryError, isError, runCommand } from '../../kernel/mod.ts';

/** The OCI runtime and the monitor that this host offers. */
export interface RuntimePrograms {
  readonly name: 'runc' | 'crun';
  readonly path: string;
  readonly version: string;
  readonly monitorPath: string;
}

/**
 * crun is about three times as fast, but versions before 1.9 refuse the hybrid layout of cgroup v1; so runc there and crun first on v2 where it can run.
 * `unavailable` names what to install.
 */
export async function detectRuntime(host: RuntimeHost, wanted: 'runc' | 'crun' | undefined, signal: AbortSignal): Promise<RuntimePrograms> {
  const monitorPath = await findProgram('conmon');
  if (monitorPath === undefined) throw new GantryError('unavailable', 'the program conmon is not installed');
  const candidates = wanted !== undefined ? [wanted] : runtimeOrder(host);
  for (const name of candidates) {
    const path = await findProgram(name);
    if (path === undefined) continue;
    const version = await versionOf(path, signal);
    if (version !== undefined) return { name, path, version, monitorPath };
  }
  throw new GantryError('unavailable', `no OCI runtime is installed: ${candidates.join(' or ')} is needed with cgroup v${host.cgroupVersion}`);
}

/** What decides which runtime works. */
export interface RuntimeHost {
  readonly cgroupVersion: 1 | 2;
  /** CAP_SYS_RESOURCE: on v2 crun loads its device filter only after it has raised its limit of locked memory. */
  readonly canRaiseLimits: boolean;
}

/** Which runtimes serve a host, the best first. */
export function runtimeOrder({ cgroupVersion, canRaiseLimits }: RuntimeHost): ('runc' | 'crun')[] {
  if (cgroupVersion === 1) return ['runc'];
  return canRaiseLimits ? ['crun', 'runc'] : ['runc'];
}

/** The absolute path of a program on PATH or in the folders of system programs. */
export async function findProgram(name: string): Promise<string | undefined> {
  const folders = [...(baseEnv().PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];
  for (const folder of folders.filter((path) => path.startsWith('/'))) {
    const path = join(folder, name);
    if (await access(path, constants.X_OK).then(() => true, () => false)) return path;
  }
  return undefined;
}

async function versionOf(path: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const { stdout } = await runCommand(path, ['--version'], {}, signal);
    return /version (\S+)/.exec(stdout)?.[1] ?? 'unknown';
  } catch (error) {
    if (isError(error, 'internal', 'unavailable')) return undefined;
    throw error;
  }
}
