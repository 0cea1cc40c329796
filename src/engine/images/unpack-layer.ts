import { createHash } from 'node:crypto';
import { lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../api/mod.ts';
import { makeNode, setXattr } from '../../host/mod.ts';
import { baseEnv, errnoOf, GantryError, throwIfAborted } from '../../kernel/mod.ts';
import { formatTarHeader, readTar, tarEnd, type TarHeader, tarPadding } from '../../wire/mod.ts';
import { feedProgram } from './feed-program.ts';
import { LayerGuard } from './layer-guard.ts';
import { LayerWriter } from './layer-writer.ts';
import type { Layer, LayerLimits } from './types.ts';
import { unpackError } from './unpack-error.ts';

const characterDevice = 0o020000;

export interface UnpackOptions {
  /** What errors call the archive. */
  readonly what: string;
  readonly limits: LayerLimits;
}

/**
 * Unpacks a plain tar into an empty folder in overlayfs' format: whiteouts become 0:0 devices and opaque attributes. Every member is checked
 * before it is written. Blocks its thread (see `unpackBlob`). On an error the folder is the caller's to remove.
 */
export async function unpackLayer(tar: AsyncIterable<Uint8Array>, folder: string, options: UnpackOptions): Promise<Layer> {
  const hash = createHash('sha256');
  const guard = new LayerGuard(options.what, options.limits);
  const removed = noRemovals();
  using writer = new LayerWriter(folder);
  for await (const { header, content } of readTar(hashed(tar, hash))) {
    const member = admit(guard, header, removed);
    if (member === undefined) continue;
    try {
      await writer.write(member, content);
    } catch (error) {
      throw unpackError(options.what, header.path, error);
    }
  }
  writer.finish((path, error) => unpackError(options.what, path, error));
  await applyRemovals(folder, guard, removed, options.what);
  return { diffId: `sha256:${hash.digest('hex')}` as Digest, sizeBytes: guard.sizeBytes };
}

export interface UnpackArchiveOptions extends UnpackOptions {
  /** Where in the root folder, relative. Default: the root folder itself. */
  readonly at?: string;
  /** Everything gets this owner. Default: the archive's. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** File of the user namespace in which it is unpacked: owners are ids there. */
  readonly userNamespace?: string;
}

/**
 * Unpacks an archive that is no layer (a build context, `docker cp`) below `rootFolder`. Symlinks that are already there are followed
 * as a process whose root is `rootFolder` would; nothing can leave it.
 */
export async function unpackArchive(tar: AsyncIterable<Uint8Array>, rootFolder: string, options: UnpackArchiveOptions, signal: AbortSignal): Promise<void> {
  const { at = '', owner, userNamespace } = options;
  const guard = new LayerGuard(options.what, options.limits, false);
  const place = (path: string): string => (at === '' ? path : path === '.' ? at : `${at}/${path}`);
  const change = (header: TarHeader): TarHeader => ({ ...header, ...owner, path: place(header.path), ...(header.type === 'hardlink' ? { linkPath: place(header.linkPath) } : {}) });
  await extract(checkedMembers(tar, guard, change, signal), rootFolder, ['-P'], options.what, signal, userNamespace);
}

/** `--chroot` keeps even a fooled bsdtar inside; names of users are never looked up. */
async function extract(members: AsyncIterable<Buffer>, folder: string, flags: readonly string[], what: string, signal: AbortSignal, userNamespace?: string): Promise<void> {
  let isOurs = false;
  const guarded = async function* (): AsyncGenerator<Buffer> {
    try {
      yield* members;
    } catch (error) {
      isOurs = true;
      throw error;
    }
  };
  const args = ['--chroot', '-x', '-p', ...flags, '--numeric-owner', '--same-owner', '--xattrs', '-C', folder, '-f', '-'];
  try {
    const enter = userNamespace === undefined ? [] : ['nsenter', `--user=${userNamespace}`, '--setuid', '0', '--setgid', '0', '--'];
    const [program = '', ...rest] = [...enter, 'bsdtar', ...args];
    await feedProgram(program, rest, { ...baseEnv(), LC_ALL: 'C.UTF-8' }, guarded(), signal);
  } catch (error) {
    throwIfAborted(signal);
    throw isOurs ? error : new GantryError('internal', `cannot unpack ${what}`, { cause: error });
  }
}

/** What is removed, with the entry that says so. */
interface Removals { readonly whiteouts: Map<string, string>; readonly opaque: Map<string, string> }

const noRemovals = (): Removals => ({ whiteouts: new Map(), opaque: new Map() });

/** Members that may be unpacked, as `change` makes them. */
async function* checkedMembers(tar: AsyncIterable<Uint8Array>, guard: LayerGuard, change: (header: TarHeader) => TarHeader, signal: AbortSignal): AsyncGenerator<Buffer> {
  for await (const { header, content } of readTar(tar)) {
    throwIfAborted(signal);
    const member = admit(guard, header, noRemovals());
    if (member === undefined) continue;
    yield formatTarHeader(change(member));
    if (member.type !== 'file') continue;
    yield* content;
    yield Buffer.alloc(tarPadding(member.sizeBytes));
  }
  yield tarEnd();
}

/** What is to be written for a member; undefined when it says what to remove, which is noted. */
function admit(guard: LayerGuard, header: TarHeader, removed: Removals): TarHeader | undefined {
  const member = guard.admit(header);
  if (member.kind === 'whiteout') removed.whiteouts.set(member.path, header.path);
  if (member.kind === 'opaque') removed.opaque.set(member.path, header.path);
  return member.kind === 'entry' ? member.header : undefined;
}

/** A name that is removed and also present hides what lower layers have of it: a folder becomes opaque, a file does so anyway. */
async function applyRemovals(folder: string, guard: LayerGuard, { whiteouts, opaque }: Removals, what: string): Promise<void> {
  for (const [path, entry] of whiteouts) {
    const type = guard.typeOf(path);
    if (type === 'directory') opaque.set(path, entry);
    if (type !== undefined) continue;
    await hide(folder, path).catch((error: unknown) => Promise.reject(unpackError(what, entry, error)));
  }
  for (const [path, entry] of opaque) {
    try {
      setXattr(await ownFolder(folder, path), 'trusted.overlay.opaque', Buffer.from('y'));
    } catch (error) {
      throw unpackError(what, entry, error);
    }
  }
}

async function hide(folder: string, path: string): Promise<void> {
  const slash = path.lastIndexOf('/');
  const parent = await ownFolder(folder, path.slice(0, Math.max(slash, 0)));
  const target = join(parent, path.slice(slash + 1));
  // A folder that exists only because something in it is named: what is below was removed first.
  if (await exists(target)) setXattr(target, 'trusted.overlay.opaque', Buffer.from('y'));
  else makeNode(target, characterDevice, 0, 0);
}

/** The folder of that name in the layer, made where it is missing. Whatever else is on the way is ENOTDIR. */
async function ownFolder(root: string, path: string): Promise<string> {
  let current = root;
  for (const part of path.split('/').filter((name) => name !== '')) {
    current = join(current, part);
    try {
      if (!(await lstat(current)).isDirectory()) throw new GantryError('invalid', `a whiteout lies below ${JSON.stringify(path)}, which is no folder`, { details: { errno: 'ENOTDIR' } });
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      await mkdir(current, 0o755);
    }
  }
  return current;
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(() => true, (error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  });
}

async function* hashed(source: AsyncIterable<Uint8Array>, hash: ReturnType<typeof createHash>): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
}
