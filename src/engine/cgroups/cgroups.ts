import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { errnoOf, pollUntil } from '../../kernel/mod.ts';
import { type CgroupLayout, type Controller, readIfExists } from './layout.ts';

/** Containers of one slice share CPU by its weight: builds and jobs yield to applications. */
export type Slice = 'application' | 'user' | 'job';

/** cgroup v1 shares of the slices; 1024 is what the rest of the machine has. */
const sliceShares: Readonly<Record<Slice, number>> = { application: 4096, user: 1024, job: 256 };

export interface CgroupLimits { cpuShares?: number; cpuQuotaMicros?: number; memoryLimitBytes?: number; pidsLimit?: number }

/** One write of a limit: file below the cgroup, in the tree of the controller. */
export interface LimitWrite { controller: Controller; file: string; value: string }

/** The writes that put limits on a cgroup of ours (a slice or a pod). Pure. */
export function planLimits(version: 1 | 2, limits: CgroupLimits): LimitWrite[] {
  const { cpuShares, cpuQuotaMicros, memoryLimitBytes, pidsLimit } = limits;
  const pids = pidsLimit === undefined ? [] : [{ controller: 'pids' as const, file: 'pids.max', value: String(pidsLimit) }];
  const periodMicros = 100_000;
  if (version === 1) {
    return [
      ...(cpuShares === undefined ? [] : [{ controller: 'cpu' as const, file: 'cpu.shares', value: String(cpuShares) }]),
      ...(cpuQuotaMicros === undefined ? [] : [{ controller: 'cpu' as const, file: 'cpu.cfs_quota_us', value: String(cpuQuotaMicros) }]),
      ...(memoryLimitBytes === undefined ? [] : [{ controller: 'memory' as const, file: 'memory.limit_in_bytes', value: String(memoryLimitBytes) }]),
      ...pids,
    ];
  }
  return [
    ...(cpuShares === undefined ? [] : [{ controller: 'cpu' as const, file: 'cpu.weight', value: String(sharesToWeight(cpuShares)) }]),
    ...(cpuQuotaMicros === undefined ? [] : [{ controller: 'cpu' as const, file: 'cpu.max', value: `${cpuQuotaMicros} ${periodMicros}` }]),
    ...(memoryLimitBytes === undefined ? [] : [{ controller: 'memory' as const, file: 'memory.max', value: String(memoryLimitBytes) }]),
    ...pids,
  ];
}

/**
 * What makes builds and jobs yield besides CPU: their disk accesses weigh a tenth, and beyond three quarters of the machine's memory they are slowed and
 * their memory is taken back first. Files that a host does not have are left out. Pure.
 */
export function planYielding(version: 1 | 2, machineMemoryBytes: number): LimitWrite[] {
  const high = String(Math.floor((machineMemoryBytes * 3) / 4 / 4096) * 4096);
  if (version === 2) return [{ controller: 'memory', file: 'memory.high', value: high }, { controller: 'io', file: 'io.weight', value: 'default 10' }, { controller: 'io', file: 'io.bfq.weight', value: 'default 10' }];
  return [
    { controller: 'memory', file: 'memory.soft_limit_in_bytes', value: high },
    ...['blkio.weight', 'blkio.bfq.weight'].map((file) => ({ controller: 'blkio' as const, file, value: '50' })),
  ];
}

/** cgroup v1 shares (2 to 262144) on version 2's scale (1 to 10000), linearly, as runc and crun convert. */
export function sharesToWeight(shares: number): number {
  return 1 + Math.floor(((Math.min(Math.max(shares, 2), 262_144) - 2) * 9999) / 262_142);
}

/** The cgroups of one instance: `gantry-<id>/<slice>[/pod…|/scope-…]/<container>`. Only below that root is anything made or removed. */
export class Cgroups {
  readonly layout: CgroupLayout;
  readonly #root: string;

  constructor(layout: CgroupLayout, instanceId: string) {
    this.layout = layout;
    this.#root = `gantry-${instanceId}`;
  }

  /** Path below each tree, with a leading slash, as config.json wants it. */
  pathOf(slice: Slice, ...names: string[]): string {
    return `/${[this.#root, slice, ...names].join('/')}`;
  }

  /** The cgroup of a container that belongs to no pod; those of a scope are below one of the scope's. */
  containerPath(id: string, scopeId: string | undefined): string {
    return scopeId === undefined ? this.pathOf('user', id) : `${this.scopePath(scopeId)}/${id}`;
  }

  scopePath(scopeId: string): string {
    return this.pathOf('user', `scope-${scopeId}`);
  }

  /** Makes the slices with their weights. Idempotent. */
  createSlices(): void {
    if (this.layout.version === 2) {
      this.#delegate('');
      this.#delegate(this.#root);
    }
    for (const slice of Object.keys(sliceShares) as Slice[]) this.createParent(this.pathOf(slice), { cpuShares: sliceShares[slice] });
    for (const { controller, file, value } of planYielding(this.layout.version, totalmem())) this.write(this.pathOf('job'), controller, file, value);
  }

  /** Makes a cgroup that holds others, with limits. Idempotent. */
  createParent(path: string, limits: CgroupLimits): void {
    if (this.layout.version === 2) {
      mkdirSync(join(this.layout.mountRoot, path), { recursive: true });
      this.#delegate(path);
    }
    for (const { controller, file, value } of planLimits(this.layout.version, limits)) {
      const tree = this.layout.treeOf(controller);
      if (tree === undefined) continue;
      mkdirSync(join(tree, path), { recursive: true });
      writeFileSync(join(tree, path, file), value);
    }
  }

  /** Writes a value into a file of an existing cgroup; false when the host has no such file. */
  write(path: string, controller: Controller, file: string, value: string): boolean {
    const tree = this.layout.treeOf(controller);
    if (tree === undefined || !existsSync(join(tree, path, file))) return false;
    writeFileSync(join(tree, path, file), value);
    return true;
  }

  read(path: string, controller: Controller, file: string): string {
    const tree = this.layout.treeOf(controller);
    return tree === undefined ? '' : readIfExists(join(tree, path, file));
  }

  /** Host pids of all processes in the cgroup and below. */
  processes(path: string): number[] {
    const pids = this.layout.trees.flatMap((tree) => processesBelow(join(tree, path)));
    return [...new Set(pids)];
  }

  /** SIGKILL to every process in the cgroup and below, again until none is left. `timeout` after five seconds: uninterruptible ones. */
  async kill(path: string, signal: AbortSignal): Promise<void> {
    await pollUntil(`the processes of ${path} to end`, () => this.#killOnce(path), { timeoutMs: 5000, intervalMs: 5 }, signal);
  }

  /** Stops all processes of the cgroup and below, or lets them go on. False when the host has no freezer. */
  freeze(path: string, isFrozen: boolean): boolean {
    const [file, on, off] = this.#freezer;
    return this.write(path, 'freezer', file, isFrozen ? on : off);
  }

  /** The freezer's file, and what stops and what lets go. */
  get #freezer(): readonly [file: string, on: string, off: string] {
    return this.layout.version === 1 ? ['freezer.state', 'FROZEN', 'THAWED'] : ['cgroup.freeze', '1', '0'];
  }

  #thaw(path: string): void {
    const [file, , off] = this.#freezer;
    const tree = this.layout.treeOf('freezer');
    if (tree === undefined) return;
    const state = this.read(path, 'freezer', file).trim();
    if (state !== '' && state !== off) this.freeze(path, false);
    for (const name of foldersIn(join(tree, path))) this.#thaw(`${path}/${name}`);
  }

  #killOnce(path: string): true | undefined {
    const pids = this.processes(path);
    // Version 1 keeps even SIGKILL from frozen processes.
    if (pids.length > 0) this.#thaw(path);
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (errnoOf(error) !== 'ESRCH') throw error;
      }
    }
    return pids.length === 0 ? true : undefined;
  }

  /** Removes the cgroup and what is below it. False when processes are still in it. */
  remove(path: string): boolean {
    return this.layout.trees.map((tree) => removeTree(join(tree, path))).every(Boolean);
  }

  /** Names of the cgroups directly below, of all trees. */
  children(path: string): string[] {
    return [...new Set(this.layout.trees.flatMap((tree) => foldersIn(join(tree, path))))].toSorted();
  }

  /** The instance's own root cgroup. */
  get rootPath(): string {
    return `/${this.#root}`;
  }

  /** Lets children of a version 2 cgroup use every controller that it has. */
  #delegate(path: string): void {
    const folder = join(this.layout.mountRoot, path);
    mkdirSync(folder, { recursive: true });
    const controllers = readIfExists(join(folder, 'cgroup.controllers')).trim().split(/\s+/).filter((name) => name !== '');
    const wanted = controllers.filter((name) => ['cpu', 'cpuset', 'memory', 'pids', 'io'].includes(name));
    const enabled = readIfExists(join(folder, 'cgroup.subtree_control')).trim().split(/\s+/);
    const missing = wanted.filter((name) => !enabled.includes(name));
    if (missing.length > 0) writeFileSync(join(folder, 'cgroup.subtree_control'), missing.map((name) => `+${name}`).join(' '));
  }
}

function processesBelow(folder: string): number[] {
  const own = readIfExists(join(folder, 'cgroup.procs')).split('\n').filter((line) => line !== '').map(Number);
  return [...own, ...foldersIn(folder).flatMap((name) => processesBelow(join(folder, name)))];
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

function removeTree(folder: string): boolean {
  const isEmpty = foldersIn(folder).map((name) => removeTree(join(folder, name))).every(Boolean);
  if (!isEmpty) return false;
  try {
    rmdirSync(folder);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return true;
    if (errnoOf(error) === 'EBUSY') return false;
    throw error;
  }
}

/** Whether the kernel killed a process of the cgroup for want of memory, by its counters. */
export function countOomKills(layout: CgroupLayout, path: string): number {
  const tree = layout.treeOf('memory');
  if (tree === undefined) return 0;
  const file = layout.version === 1 ? 'memory.oom_control' : 'memory.events';
  return Number(/^oom_kill (\d+)$/m.exec(readIfExists(join(tree, path, file)))?.[1] ?? 0);
}

/** The cgroup paths of a process by hierarchy, from /proc/<pid>/cgroup (cgroups(7)). */
export function cgroupsOfProcess(pid: number | 'self'): Map<string, string> {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n').filter((line) => line !== '');
  return new Map(lines.map((line) => [line.split(':')[1] ?? '', line.split(':').slice(2).join(':')]));
}
