import { GantryError, isError } from '../../kernel/mod.ts';
import { planEnvironment } from '../bundle/bundle.ts';
import { planCapabilities, toOciCapabilities } from '../bundle/capabilities.ts';
import type { OciProcess } from '../bundle/oci-spec.ts';
import { planRlimits } from '../bundle/rlimits.ts';
import { readUserDatabases, resolveUser } from '../bundle/user.ts';
import type { ExecSession, ExecSpec } from '../engine.ts';
import type { HostFacts } from '../host-facts.ts';
import type { EnginePaths } from '../paths.ts';
import { startExec } from '../runtime/exec.ts';
import type { Cgroups } from '../cgroups/cgroups.ts';
import { checkWorkingDir } from './guarded-paths.ts';
import type { ContainerEntry } from './container-entry.ts';
import type { Launcher } from './launcher.ts';

export interface ExecParts { readonly host: HostFacts; readonly paths: EnginePaths; readonly cgroups: Cgroups; readonly launcher: Launcher }

/** Runs a further process in a running container. `conflict` when it does not run or is paused. */
export async function execInContainer(parts: ExecParts, entry: ContainerEntry, spec: ExecSpec, signal: AbortSignal): Promise<ExecSession> {
  if (!entry.isRunning) throw new GantryError('conflict', `container ${entry.id} is not running`);
  if (entry.status.state === 'paused') throw new GantryError('conflict', `Container ${entry.id} is paused, unpause the container before exec`);
  if (spec.args.length === 0 || spec.args[0] === '') throw new GantryError('invalid', 'No exec command specified');
  const { host, paths, cgroups, launcher } = parts;
  if (spec.workingDir !== '') checkWorkingDir(entry.paths.rootfs, spec.workingDir);
  return startExec(
    host.programs,
    {
      containerId: entry.id,
      stateRoot: paths.runtimeState,
      scratchFolder: entry.paths.run,
      process: planExecProcess(host, entry, spec, linksOf(launcher, entry)),
      stdin: spec.stdin,
      listProcesses: () => cgroups.processes(launcher.cgroupPath(entry)),
      size: spec.size,
    },
    signal,
  );
}

/** As they are now; none when one of them has stopped meanwhile, for its address is somebody else's then. */
function linksOf(launcher: Launcher, entry: ContainerEntry): string[] {
  try {
    return launcher.linkVariables(entry, entry.status.endpoints);
  } catch (error) {
    if (isError(error, 'conflict')) return [];
    throw error;
  }
}

/** The process as the runtime takes it: the container's settings with what the request changes. */
function planExecProcess(host: HostFacts, { spec: container, id, paths }: ContainerEntry, spec: ExecSpec, links: readonly string[]): OciProcess {
  const user = resolveUser(spec.user === '' ? container.user : spec.user, spec.user === '' ? container.supplementalGroups : [], readUserDatabases(paths.rootfs));
  const isPrivileged = spec.isPrivileged || container.security.isPrivileged;
  const bounding = planCapabilities({ ...container.security, isPrivileged }).filter((name) => host.capabilities.has(name));
  const hostname = container.hostname === '' ? id.slice(0, 12) : container.hostname;
  return {
    terminal: spec.tty,
    ...(spec.tty && spec.size !== undefined ? { consoleSize: spec.size } : {}),
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    args: spec.args,
    env: planEnvironment([...links, ...container.env, ...spec.env], { home: user.home, hostname, tty: spec.tty }),
    cwd: spec.workingDir !== '' ? spec.workingDir : container.workingDir !== '' ? container.workingDir : '/',
    capabilities: toOciCapabilities(bounding, user.uid),
    rlimits: planRlimits(container.resources.ulimits ?? [], host.limits).rlimits,
    noNewPrivileges: container.security.noNewPrivileges && !spec.isPrivileged,
    ...(container.security.apparmorProfile === undefined || spec.isPrivileged ? {} : { apparmorProfile: container.security.apparmorProfile }),
  };
}
