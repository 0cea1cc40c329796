import { link, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../kernel/mod.ts';
import { isUploadId, parseBlobDigest } from './blobs.ts';

/** Where a disk store of the folder keeps a blob. */
export function blobFile(folder: string, digest: string): string {
  const { algorithm, hex } = parseBlobDigest(digest);
  return join(folder, algorithm, hex.slice(0, 2), hex);
}

/** Where a file waits to become the content of an upload. Not the upload's own file: that one is written to, and this one is shared. */
export function handedFile(folder: string, uploadId: string): string {
  return join(folder, 'handed', uploadId);
}

/** Reasons why a file cannot have a second name there: another file system, too many names, rights, gone. */
const refusals = ['EXDEV', 'EMLINK', 'EPERM', 'EACCES', 'ENOENT', 'EEXIST', 'ENOTSUP'];

/**
 * Gives a whole file to an empty upload of the disk store in `folder`, by a second name for it: no byte is copied, and each side
 * may remove its name. The store verifies the content when the upload is committed. False when that cannot be, and nothing is
 * changed then: the file must lie on the same file system and belong to the owner of the store, and nobody else may write to it,
 * so that what was verified stays what it was.
 */
export async function handOver(folder: string, uploadId: string, file: string): Promise<boolean> {
  if (!isUploadId(uploadId)) return false;
  const target = handedFile(folder, uploadId);
  try {
    const [source, store] = await Promise.all([stat(file), stat(join(folder, 'handed'))]);
    if (!source.isFile() || source.uid !== store.uid || (source.mode & 0o022) !== 0) return false;
    // A collector must not take it for something old.
    const now = new Date();
    await utimes(file, now, now);
    await link(file, target);
    return true;
  } catch (error) {
    if (refusals.includes(errnoOf(error) ?? '')) return false;
    throw error;
  }
}
