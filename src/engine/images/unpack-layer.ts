import { createHash } from 'node:crypto';
import { lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../api/mod.ts';
import { makeNode, setXattr } from '../../host/mod.ts';
import { baseEnv, errnoOf, GantryError, isError, throwIfAborted } from '../../kernel/mod.ts';
import { formatTarHeader, readTar, tarEnd, type TarHeader, tarPadding } from '../../wire/mod.ts';
import { feedProgram } from './feed-program.ts';
import { LayerGuard } from './layer-guard.ts';
import { LayerWriter } from './layer-writer.ts';
import type { Layer, LayerLimits } from './types.ts';

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
  const removed: Removals = { whiteouts: [], opaque: [] };
  using writer = new LayerWriter(folder);
  for await (const { header, content } of readTar(hashed(tar, hash))) {
    const member = admit(guard, header, removed);
    if (member === undefined) continue;
    try {
      await writer.write(member, content);
    } catch (error) {
      throw isError(error) && error.details['errno'] === undefined ? error : new GantryError('internal', `cannot unpack ${options.what}: entry ${JSON.stringify(header.path.slice(0, 300))}`, { cause: error });
    }
  }
  writer.finish();
  await applyRemovals(folder, guard, removed);
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

interface Removals { whiteouts: string[]; opaque: string[] }

/** Members that may be unpacked, as `change` makes them. */
async function* checkedMembers(tar: AsyncIterable<Uint8Array>, guard: LayerGuard, change: (header: TarHeader) => TarHeader, signal: AbortSignal): AsyncGenerator<Buffer> {
  for await (const { header, content } of readTar(tar)) {
    throwIfAborted(signal);
    const member = admit(guard, header, { whiteouts: [], opaque: [] });
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
  if (member.kind === 'whiteout') removed.whiteouts.push(member.path);
  if (member.kind === 'opaque') removed.opaque.push(member.path);
  return member.kind === 'entry' ? member.header : undefined;
}

/** A name that is removed and also present hides what lower layers have of it: a folder becomes opaque, a file does so anyway. */
async function applyRemovals(folder: string, guard: LayerGuard, { whiteouts, opaque }: Removals): Promise<void> {
  for (const path of new Set(whiteouts)) {
    const type = guard.typeOf(path);
    if (type === 'directory') opaque.push(path);
    if (type !== undefined) continue;
    const slash = path.lastIndexOf('/');
    const parent = await ownFolder(folder, path.slice(0, Math.max(slash, 0)));
    const target = join(parent, path.slice(slash + 1));
    // A folder that exists only because something in it is named: what is below was removed first.
    if (await exists(target)) setXattr(target, 'trusted.overlay.opaque', Buffer.from('y'));
    else makeNode(target, characterDevice, 0, 0);
  }
  for (const path of new Set(opaque)) setXattr(await ownFolder(folder, path), 'trusted.overlay.opaque', Buffer.from('y'));
}

/** The folder of that name in the layer, made where it is missing. A symlink on the way is `invalid`. */
async function ownFolder(root: string, path: string): Promise<string> {
  let current = root;
  for (const part of path.split('/').filter((name) => name !== '')) {
    current = join(current, part);
    try {
      if (!(await lstat(current)).isDirectory()) throw new GantryError('invalid', `a whiteout lies below ${JSON.stringify(path)}, which is no folder`);
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
