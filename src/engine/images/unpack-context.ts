import { chmodSync, closeSync, constants, fchmodSync, futimesSync, linkSync, lutimesSync, mkdirSync, openSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { join } from 'node:path';
import { makeNode, setXattr } from '../../host/mod.ts';
import { errnoOf, throwIfAborted } from '../../kernel/mod.ts';
import { readTar, type TarEntry, type TarHeader } from '../../wire/mod.ts';
import { LayerGuard } from './layer-guard.ts';
import { unpackError } from './unpack-error.ts';
import type { UnpackOptions } from './unpack-layer.ts';

const fifo = 0o010000;
/** Members between which other work gets a turn. */
const turnAfter = 64;

/**
 * Unpacks a build context into a new, empty folder of mode 0700, in this process: for the few files of most contexts, starting a program takes longer
 * than the work. Files belong to this process, because builds do not ask whose they were; modes, whole times and attributes are the archive's.
 * The guard admits no name through a link, and nobody else makes any in the folder, so that nothing can leave it.
 */
export async function unpackContext(tar: AsyncIterable<Uint8Array>, folder: string, options: UnpackOptions, signal: AbortSignal): Promise<void> {
  const guard = new LayerGuard(options.what, options.limits, false);
  const folders = new Map<string, TarHeader | undefined>([['', undefined]]);
  let count = 0;
  for await (const { header, content } of readTar(tar)) {
    throwIfAborted(signal);
    const member = guard.admit(header);
    if (member.kind !== 'entry') continue;
    try {
      await makeMember(folder, { header: member.header, content }, folders);
    } catch (error) {
      throwIfAborted(signal);
      throw unpackError(options.what, header.path, error);
    }
    count += 1;
    if (count % turnAfter === 0) await setImmediate();
  }
  // Filling a folder changes its time, and its mode might forbid it.
  for (const [path, header] of [...folders].toReversed()) {
    if (path === '' || header === undefined) continue;
    try {
      finish(join(folder, path), header);
    } catch (error) {
      throw unpackError(options.what, path, error);
    }
  }
}

async function makeMember(root: string, entry: Pick<TarEntry, 'header' | 'content'>, folders: Map<string, TarHeader | undefined>): Promise<void> {
  const { header } = entry;
  const path = header.path === '.' ? '' : header.path;
  const slash = path.lastIndexOf('/');
  makeFolders(root, slash < 0 ? '' : path.slice(0, slash), folders);
  if (header.type === 'directory') makeFolders(root, path, folders.set(path, header), true);
  else await makeEntry(root, entry, folders);
}

/** Folders that only the names of others tell of are made too. */
function makeFolders(root: string, path: string, folders: Map<string, TarHeader | undefined>, isNamed = false): void {
  if (!isNamed && folders.has(path)) return;
  const slash = path.lastIndexOf('/');
  if (path !== '') makeFolders(root, slash < 0 ? '' : path.slice(0, slash), folders);
  if (path === '') return;
  if (!isNamed) folders.set(path, undefined);
  try {
    mkdirSync(join(root, path), 0o755);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    // The last member of a name counts; a folder stays with what is in it.
    if (replaceFile(join(root, path))) mkdirSync(join(root, path), 0o755);
  }
}

/** False when it is a folder. */
function replaceFile(path: string): boolean {
  try {
    rmSync(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ERR_FS_EISDIR') return false;
    throw error;
  }
}

async function makeEntry(root: string, { header, content }: Pick<TarEntry, 'header' | 'content'>, folders: Map<string, TarHeader | undefined>): Promise<void> {
  const path = join(root, header.path);
  const remove = (): void => {
    rmSync(path, { recursive: true, force: true });
    for (const name of folders.keys()) if (name === header.path || name.startsWith(`${header.path}/`)) folders.delete(name);
  };
  const replacing = <T>(make: () => T): T => {
    try {
      return make();
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
      remove();
      return make();
    }
  };
  if (header.type === 'hardlink') return replacing(() => linkSync(join(root, header.linkPath), path));
  if (header.type === 'file') return writeContent(replacing(() => openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)), path, header, content);
  if (header.type === 'symlink') replacing(() => symlinkSync(header.linkPath, path));
  else {
    remove();
    makeNode(path, fifo | 0o600, 0, 0);
  }
  finish(path, header);
}

async function writeContent(file: number, path: string, header: TarHeader, content: TarEntry['content']): Promise<void> {
  try {
    for await (const chunk of content) for (let at = 0; at < chunk.length; ) at += writeSync(file, chunk, at, chunk.length - at);
    for (const [name, value] of header.xattrs) setXattr(path, name, value);
    fchmodSync(file, header.mode);
    futimesSync(file, header.mtimeSeconds, header.mtimeSeconds);
  } finally {
    closeSync(file);
  }
}

function finish(path: string, header: TarHeader): void {
  for (const [name, value] of header.xattrs) setXattr(path, name, value);
  if (header.type !== 'symlink') chmodSync(path, header.mode);
  lutimesSync(path, header.mtimeSeconds, header.mtimeSeconds);
}
