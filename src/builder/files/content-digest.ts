import { createHash, hash as oneShot, type Hash } from 'node:crypto';
import { closeSync, openSync, readlinkSync, readSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { GantryError, throwIfAborted } from '../../kernel/mod.ts';
import type { CopySource } from './copy-sources.ts';
import { type FileEntry, fileTypeOf } from './file-entry.ts';
import type { FileDigests } from './file-digests.ts';
import { copiedXattrs } from './xattrs.ts';

/** Whose the files will be: the source's owners, or root for what comes from a build context. */
export type OwnerRule = 'kept' | 'root';

/** Bytes hashed before other work gets a turn. */
const yieldAfterBytes = 8 << 20;

/**
 * What a layer would say of each entry, without times: type, permissions, owner, size, content, link target, device numbers
 * and extended attributes. `[path, digest]` in copy order; equal lists copy to equal trees.
 */
export async function digestSources(sources: readonly CopySource[], owners: OwnerRule, known: FileDigests | undefined, signal: AbortSignal): Promise<[string, string][]> {
  const digests: [string, string][] = [];
  const firstNames = new Map<string, string>();
  let pendingBytes = 0;
  for (const source of sources) {
    for (const entry of source.entries) {
      digests.push([`${source.kind}:${source.kind === 'file' ? source.name : entry.path}`, known?.get(entry) ?? digestAndNote(entry, owners, linkedTo(entry, firstNames), known)]);
      pendingBytes += known === undefined ? entry.stats.size + 4096 : 4096;
      if (pendingBytes < yieldAfterBytes) continue;
      pendingBytes = 0;
      await setImmediate();
      throwIfAborted(signal);
    }
  }
  return digests;
}

function digestAndNote(entry: FileEntry, owners: OwnerRule, linked: string, known: FileDigests | undefined): string {
  const digest = digestEntry(entry, owners, linked);
  known?.set(entry, digest);
  return digest;
}

/** The earlier entry that is the same file: hard links inside a copy stay hard links. */
function linkedTo({ path, stats }: FileEntry, firstNames: Map<string, string>): string {
  if (stats.nlink < 2 || !stats.isFile()) return '';
  const inode = `${stats.dev}:${stats.ino}`;
  const first = firstNames.get(inode);
  if (first === undefined) firstNames.set(inode, path);
  return first ?? '';
}

function digestEntry({ hostPath, stats }: FileEntry, owners: OwnerRule, linked: string): string {
  const type = fileTypeOf(stats);
  const owner = owners === 'root' ? '0:0' : `${stats.uid}:${stats.gid}`;
  const attributes = copiedXattrs(hostPath).map(({ name, value }) => `${name}=${value.toString('base64')}\0`);
  const description = `${type} ${(stats.mode & 0o7777).toString(8)} ${owner} ${linked}\0${attributes.join('')}`;
  if (type === 'link') return oneShot('sha256', `${description}${readlinkSync(hostPath)}`);
  if (type === 'file') return digestFile(hostPath, description);
  return oneShot('sha256', type === 'character-device' || type === 'block-device' ? `${description}${stats.rdev}` : description);
}

const buffer = Buffer.alloc(1 << 20);

/** Most files fit the buffer behind their description, and are hashed in one call. */
function digestFile(path: string, description: string): string {
  const file = openSync(path, 'r');
  try {
    let filled = buffer.write(description);
    if (filled > buffer.length / 2) throw new GantryError('exhausted', `the extended attributes of ${path} are too large`);
    let hash: Hash | undefined;
    for (;;) {
      const length = readSync(file, buffer, filled, buffer.length - filled, null);
      filled += length;
      if (length === 0) return hash === undefined ? oneShot('sha256', buffer.subarray(0, filled)) : hash.update(buffer.subarray(0, filled)).digest('hex');
      if (filled < buffer.length) continue;
      hash = (hash ?? createHash('sha256')).update(buffer);
      filled = 0;
    }
  } finally {
    closeSync(file);
  }
}
