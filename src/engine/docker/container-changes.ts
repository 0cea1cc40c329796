import { type Stats, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { getXattr } from '../../host/mod.ts';
import { errnoOf } from '../../kernel/mod.ts';
import type { ContainerSpec } from '../types.ts';

/** One line of `docker diff`: 0 changed, 1 added, 2 deleted. */
export interface ContainerChange { readonly Path: string; readonly Kind: 0 | 1 | 2 }

/** What the engine itself makes in a container's file system to mount over it: no change of the container's. */
export function mountPoints({ mounts }: ContainerSpec): ReadonlySet<string> {
  return new Set(['/etc/hostname', '/etc/hosts', '/etc/resolv.conf', '/dev', '/proc', '/sys', '/.dockerenv', ...mounts.map(({ target }) => target.replace(/\/+$/, ''))]);
}

/** What a writable overlay folder changes of the layers below it, the lowest first. Sorted by path; paths in `ignored` are left out when they are new. */
export function listChanges(upper: string, layers: readonly string[], ignored: ReadonlySet<string>): ContainerChange[] {
  const changes: ContainerChange[] = [];
  const topFirst = layers.toReversed();
  const walk = (parent: string): void => {
    for (const name of readdirSync(join(upper, parent)).toSorted()) {
      const path = `${parent}/${name}`;
      const stats = lstatSync(join(upper, path));
      if (isWhiteout(stats)) {
        changes.push({ Path: path, Kind: 2 });
        continue;
      }
      const isOld = isInLayers(topFirst, path);
      if (!isOld && ignored.has(path)) continue;
      changes.push({ Path: path, Kind: isOld ? 0 : 1 });
      if (stats.isDirectory()) walk(path);
    }
  };
  walk('');
  return changes;
}

/** Whether the layers show something at the path: whiteouts and opaque folders of a layer hide those below it. */
function isInLayers(topFirst: readonly string[], path: string): boolean {
  const parts = path.split('/').filter((part) => part !== '');
  for (const layer of topFirst) {
    let isHiding = false;
    for (let count = 1; count <= parts.length; count += 1) {
      const full = join(layer, ...parts.slice(0, count));
      const stats = lstatIfExists(full);
      if (stats === undefined) break;
      if (isWhiteout(stats)) return false;
      if (count === parts.length) return true;
      if (!stats.isDirectory()) return false;
      isHiding ||= getXattr(full, 'trusted.overlay.opaque')?.toString() === 'y';
    }
    if (isHiding) return false;
  }
  return false;
}

function isWhiteout(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0;
}

function lstatIfExists(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
