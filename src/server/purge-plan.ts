/** What of an instance can be found on a machine by name alone, whatever made it and however it ended. */
export interface MachineState {
  /** /proc/self/mountinfo. */
  readonly mountinfo: string;
  /** Names of network links. */
  readonly links: readonly string[];
  /** `family name` of nftables tables. */
  readonly tables: readonly string[];
  /** Folders under the cgroup mounts, absolute. */
  readonly cgroups: readonly string[];
  readonly processes: readonly { pid: number; commandLine: string; cgroups: string }[];
}

export interface PurgePlan {
  readonly pids: readonly number[];
  /** Deepest first. */
  readonly mounts: readonly string[];
  readonly links: readonly string[];
  readonly tables: readonly string[];
  /** Deepest first. */
  readonly cgroups: readonly string[];
}

/** Decides what belongs to the instance. `keepPids`: this process and its ancestors, whose command lines name the folder too. */
export function planPurge(instance: { id: string; dataDir: string; runDir: string }, state: MachineState, keepPids: readonly number[]): PurgePlan {
  const { id, dataDir, runDir } = instance;
  const cgroupName = new RegExp(`/gantry-${id}(?=[/.\\n-]|$)`);
  const linkName = new RegExp(`^g${id.slice(0, 6)}`);
  const tableName = new RegExp(`^\\S+ gantry-${id}(-|$)`);
  const isInside = (path: string): boolean => [dataDir, runDir].some((folder) => path === folder || path.startsWith(`${folder}/`));
  const holdsContainer = (commandLine: string): boolean =>
    /^(\S*\/)?(conmon|runc|crun|haproxy)\0/.test(commandLine) && commandLine.split('\0').some((argument) => isInside(argument));
  return {
    pids: state.processes.filter(({ pid, cgroups, commandLine }) => !keepPids.includes(pid) && (cgroupName.test(cgroups) || holdsContainer(commandLine))).map(({ pid }) => pid),
    mounts: mountPoints(state.mountinfo).filter(isInside).toReversed(),
    links: state.links.filter((name) => linkName.test(name)),
    tables: state.tables.filter((table) => tableName.test(table)),
    cgroups: state.cgroups.filter((path) => cgroupName.test(path)).toSorted((a, b) => b.split('/').length - a.split('/').length),
  };
}

/** Mount points in the order they were mounted (proc(5), mountinfo), with octal escapes resolved. */
export function mountPoints(mountinfo: string): string[] {
  return mountinfo
    .split('\n')
    .map((line) => line.split(' ')[4])
    .filter((path) => path !== undefined && path !== '')
    .map((path) => path?.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))) ?? '');
}
