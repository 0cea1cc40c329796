import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../../kernel/mod.ts';
import type { ContainerRecord } from '../../types.ts';
import type { DockerServices } from '../call.ts';

/** Bytes of all files below the folder; what goes away meanwhile counts nothing. */
export async function folderBytes(folder: string): Promise<number> {
  let total = 0;
  try {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) total += await folderBytes(path);
      else if (entry.isFile()) total += (await lstat(path)).size;
    }
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw error;
  }
  return total;
}

/** What a container has written, and the image below it. */
export async function sizesOf({ engine, images }: DockerServices, record: ContainerRecord): Promise<{ writableBytes: number; imageBytes: number }> {
  return { writableBytes: await folderBytes(engine.containers.writableFolder(record.id)), imageBytes: images.find(record.spec.image.id)?.sizeBytes ?? 0 };
}
