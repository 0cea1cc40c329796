import { lstatSync, readlinkSync } from 'node:fs';
import { join, normalize, relative, resolve } from 'node:path';
import { resolveInside } from '../../host/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { ResolvedMount } from '../bundle/mounts.ts';
import type { MountSpec } from '../types.ts';

/**
 * Places that are the runtime's: it mounts them, and takes nodes in them to mask others with. One that an image or another container can
 * write leads it to where it must not go (CVE-2025-31133, -52565, -52881: /dev/null or /dev/console as a link, a forged /proc).
 */
const systemPaths: ReadonlySet<string> = new Set(
  ['', '/console', '/full', '/null', '/ptmx', '/pts', '/random', '/tty', '/urandom', '/zero'].map((name) => `/dev${name}`).concat('/proc', '/sys'),
);

/** Why nothing of the kind may be mounted at the target, or undefined. A host folder may be mounted where it is itself: `-v /dev:/dev`. */
export function systemMountRefusal(mount: Pick<MountSpec, 'type' | 'target'> & { readonly source?: string }): string | undefined {
  const target = normalPath(mount.target);
  if (!systemPaths.has(target) || (mount.type === 'bind' && mount.source !== undefined && normalPath(mount.source) === target)) return undefined;
  return `${target} is the system's own: nothing else can be mounted there`;
}

/**
 * Looks at the root file system before the runtime does: no link stands for a folder of the system, no mount leads to one by a link, and the
 * working directory is none of a process in procfs, where descriptors of the host may be open (CVE-2024-21626). `invalid` names what is wrong.
 */
export function checkRootfs(rootfs: string, mounts: readonly ResolvedMount[], workingDir: string): void {
  for (const name of ['dev', 'proc', 'sys']) {
    if (lstatSync(join(rootfs, name), { throwIfNoEntry: false })?.isSymbolicLink() === true) throw new GantryError('invalid', `the image has a symbolic link in place of /${name}`);
  }
  for (const mount of mounts) checkTarget(rootfs, mount, normalPath(mount.target), mounts, 0);
  checkWorkingDir(rootfs, workingDir);
}

/** `invalid` for a working directory below a process's folder in procfs, by name or through links that are there now. */
export function checkWorkingDir(rootfs: string, workingDir: string): void {
  const resolved = `/${relative(rootfs, resolveInside(rootfs, join('/', workingDir)))}`;
  for (const path of [normalPath(join('/', workingDir)), resolved]) {
    if (/^\/proc\/(self|thread-self|\d+)(\/|$)/.test(path)) throw new GantryError('invalid', `the working directory ${workingDir} is that of a process in /proc`);
  }
}

/** Follows links of the image, and of mounts that the target lies in, whose links the image says nothing about. */
function checkTarget(rootfs: string, mount: ResolvedMount, target: string, all: readonly ResolvedMount[], followed: number): void {
  const refuse = (resolved: string): void => {
    if (systemMountRefusal({ ...mount, target: resolved }) === undefined) return;
    throw new GantryError('invalid', `the mount ${mount.target} leads to ${resolved}, which is the system's own`);
  };
  refuse(target);
  const parent = all.filter((other) => other.type === 'bind' && target.startsWith(`${normalPath(other.target)}/`)).toSorted((a, b) => b.target.length - a.target.length)[0];
  if (parent?.type !== 'bind') return refuse(`/${relative(rootfs, resolveInside(rootfs, target))}`);
  const base = normalPath(parent.target);
  const parts = target.slice(base.length).split('/').filter((name) => name !== '');
  for (const [index] of parts.entries()) {
    const link = linkAt(join(parent.source, ...parts.slice(0, index + 1)));
    if (link === undefined) continue;
    if (followed >= maxLinks) throw new GantryError('invalid', `the mount ${mount.target} leads through too many symbolic links`);
    return checkTarget(rootfs, mount, normalPath(join(resolve(join(base, ...parts.slice(0, index)), link), ...parts.slice(index + 1))), all, followed + 1);
  }
}

const maxLinks = 40;

function linkAt(path: string): string | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true ? readlinkSync(path) : undefined;
}

function normalPath(path: string): string {
  return normalize(path).replace(/(.)\/+$/, '$1');
}
