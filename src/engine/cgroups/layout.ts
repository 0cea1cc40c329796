import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../../kernel/mod.ts';
import type { ResourceSupport } from '../bundle/resources.ts';

/** The controllers we set or read ourselves; the runtime handles all. */
export type Controller = 'cpu' | 'cpuacct' | 'memory' | 'pids' | 'blkio' | 'freezer' | 'io';

/**
 * How this host's cgroups are laid out. Version 1 (also the hybrid of systemd): one tree per controller. Version 2: one tree.
 * Everything that differs between the two is behind this type and `usage.ts`.
 */
export interface CgroupLayout {
  readonly version: 1 | 2;
  readonly mountRoot: string;
  /** Folders of all trees: a cgroup exists once in each. */
  readonly trees: readonly string[];
  /** The tree of a controller; undefined when the host has none. */
  treeOf(controller: Controller): string | undefined;
  readonly support: ResourceSupport;
}

/** Reads the layout below the mount root (`/sys/fs/cgroup`; tests pass a fixture). */
export function readCgroupLayout(mountRoot = '/sys/fs/cgroup'): CgroupLayout {
  return existsSync(join(mountRoot, 'cgroup.controllers')) ? version2(mountRoot) : version1(mountRoot);
}

function version1(mountRoot: string): CgroupLayout {
  const names = readdirSync(mountRoot).filter((name) => existsSync(join(mountRoot, name, 'cgroup.procs'))).toSorted();
  // `cpu,cpuacct` is one tree with two controllers; `unified` and `systemd` have none.
  const treeOf = (controller: Controller): string | undefined => {
    const name = names.find((tree) => tree.split(',').includes(controller));
    return name === undefined ? undefined : join(mountRoot, name);
  };
  const hasFile = (controller: Controller, file: string): boolean => {
    const tree = treeOf(controller);
    return tree !== undefined && existsSync(join(tree, file));
  };
  return {
    version: 1,
    mountRoot,
    trees: names.map((name) => join(mountRoot, name)),
    treeOf,
    support: {
      swap: hasFile('memory', 'memory.memsw.limit_in_bytes'),
      blkioWeight: hasFile('blkio', 'blkio.weight') || hasFile('blkio', 'blkio.bfq.weight'),
      pids: treeOf('pids') !== undefined,
    },
  };
}

function version2(mountRoot: string): CgroupLayout {
  const controllers = readIfExists(join(mountRoot, 'cgroup.controllers')).trim().split(/\s+/);
  const names: Readonly<Record<Controller, string>> = { cpu: 'cpu', cpuacct: 'cpu', memory: 'memory', pids: 'pids', blkio: 'io', io: 'io', freezer: 'cgroup' };
  return {
    version: 2,
    mountRoot,
    trees: [mountRoot],
    // Every version 2 cgroup has cgroup.freeze and the times of cpu.stat, whatever its controllers.
    treeOf: (controller) => (controller === 'freezer' || controller === 'cpuacct' || controllers.includes(names[controller]) ? mountRoot : undefined),
    // The root has no memory.swap.max; every version 2 kernel with the memory controller and swap has it below.
    support: { swap: controllers.includes('memory') && existsSync('/proc/swaps'), blkioWeight: controllers.includes('io'), pids: controllers.includes('pids') },
  };
}

/** The file's text, or empty when there is none (a cgroup that has just gone, a kernel without the setting). */
export function readIfExists(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENODEV') return '';
    throw error;
  }
}
