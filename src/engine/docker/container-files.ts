import { type BigIntStats, lstatSync, readlinkSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { type IdRange, idRangeOf, resolveInside } from '../../host/mod.ts';
import { errnoOf, GantryError } from '../../kernel/mod.ts';
import type { Engine } from '../engine.ts';
import type { ContainerRecord } from '../types.ts';

/** A path of a container on the host. */
export interface ContainerPath {
  /** The container's root as the host sees it; every look-up below must stay in it. */
  readonly root: string;
  /** The folder that holds the entry, relative to the root, without symlinks. Empty: the root itself. */
  readonly folder: string;
  /** The entry's name; empty for the root. */
  readonly name: string;
}

/**
 * Runs `work` with the root of the container's file system: as its own processes see it while it runs, volumes and binds included;
 * otherwise the root file system alone, so that paths on volumes are `conflict` rather than wrong.
 */
export async function withContainerRoot<T>(engine: Engine, idOrName: string, path: string | undefined, work: (root: string) => Promise<T>, signal: AbortSignal): Promise<T> {
  const { id, spec, status } = engine.containers.get(idOrName);
  if (status.pid !== undefined && (status.state === 'running' || status.state === 'paused')) return work(`/proc/${status.pid}/root`);
  const mount = path === undefined ? undefined : spec.mounts.find(({ target }) => isWithin(join('/', path), target));
  if (mount !== undefined) throw new GantryError('conflict', `${path ?? ''} lies on the mount ${mount.target}, which a container has only while it runs`);
  return engine.containers.withRootfs(id, work, signal);
}

/** The user namespace in which a container runs, when it is not the host's: owners of its files are ids of that range then. */
export function mappedIds({ status: { pid } }: ContainerRecord): { range: IdRange; file: string } | undefined {
  if (pid === undefined) return undefined;
  try {
    const range = idRangeOf(pid);
    return range === undefined ? undefined : { range, file: `/proc/${pid}/ns/user` };
  } catch (error) {
    // It has just ended: whatever is read now fails by itself.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return undefined;
    throw error;
  }
}

function isWithin(path: string, target: string): boolean {
  const inside = relative(target, path);
  return inside === '' || !(inside.startsWith('..') || inside.startsWith('/'));
}

/** Resolves symlinks in all parts but the last, as `docker cp` names things; a path that ends with a slash in the last too. */
export function locate(root: string, path: string): ContainerPath {
  const clean = join('/', path);
  if (clean === '/') return { root, folder: '', name: '' };
  const isFollowed = path.endsWith('/') || path.endsWith('/.');
  const target = isFollowed ? resolveInside(root, clean) : join(resolveInside(root, dirname(clean)), basename(clean));
  const inside = relative(root, target);
  if (inside === '') return { root, folder: '', name: '' };
  return { root, folder: dirname(inside) === '.' ? '' : dirname(inside), name: basename(inside) };
}

/** The path as an existing folder, symlinks followed; `not-found` and `invalid` otherwise. Relative to the root. */
export function locateFolder(root: string, path: string, id: string): string {
  const target = resolveInside(root, join('/', path));
  // The root of a running container is a link of procfs, which is followed.
  if (!statOf(target === root ? join(root, '/') : target, path, id).isDirectory()) throw new GantryError('invalid', 'extraction point is not a directory');
  return relative(root, target);
}

/** What `X-Docker-Container-Path-Stat` says of an entry, in base64. */
export function pathStatHeader({ root, folder, name }: ContainerPath, path: string, id: string): string {
  const full = join(root, folder, name);
  // The root itself may be a link of /proc.
  const stats = statOf(name === '' ? `${full}/` : full, path, id);
  const value = { name: name === '' ? '/' : name, size: Number(stats.size), mode: goFileMode(stats), mtime: stats.mtime.toISOString(), linkTarget: stats.isSymbolicLink() ? readlinkSync(full) : '' };
  return Buffer.from(JSON.stringify(value)).toString('base64');
}

function statOf(full: string, path: string, id: string): BigIntStats {
  try {
    return lstatSync(full, { bigint: true });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') throw new GantryError('not-found', `Could not find the file ${path} in container ${id}`);
    throw error;
  }
}

/** Go's os.FileMode: its own bits for the type, which clients written in Go decode. */
function goFileMode(stats: BigIntStats): number {
  const bits: readonly [isSet: boolean, bit: number][] = [
    [stats.isDirectory(), 31], [stats.isSymbolicLink(), 27], [stats.isBlockDevice() || stats.isCharacterDevice(), 26], [stats.isFIFO(), 25], [stats.isSocket(), 24],
    [(stats.mode & 0o4000n) !== 0n, 23], [(stats.mode & 0o2000n) !== 0n, 22], [stats.isCharacterDevice(), 21], [(stats.mode & 0o1000n) !== 0n, 20],
  ];
  return bits.reduce((mode, [isSet, bit]) => mode + (isSet ? 2 ** bit : 0), Number(stats.mode & 0o777n));
}
