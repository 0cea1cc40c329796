import { mkdir, stat, writeFile } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import type { k8s } from '../../../api/mod.ts';
import { errnoOf, GantryError } from '../../../kernel/mod.ts';

const checks: Readonly<Record<string, (stats: Stats) => boolean>> = {
  Directory: (stats) => stats.isDirectory(),
  DirectoryOrCreate: (stats) => stats.isDirectory(),
  File: (stats) => stats.isFile(),
  FileOrCreate: (stats) => stats.isFile(),
  Socket: (stats) => stats.isSocket(),
  CharDevice: (stats) => stats.isCharacterDevice(),
  BlockDevice: (stats) => stats.isBlockDevice(),
};

/** Makes sure the host's path is what the volume says (Kubernetes, "hostPath volume types"). `invalid` when it is not. */
export async function prepareHostPath({ path, type = '' }: k8s.HostPathVolumeSource): Promise<string> {
  // Without a type nothing is checked; a missing folder is made, as container engines do.
  if (type === 'DirectoryOrCreate' || type === '') await mkdir(path, { recursive: true, mode: 0o755 }).catch(ignoreExisting);
  if (type === 'FileOrCreate') await writeFile(path, '', { flag: 'wx', mode: 0o644 }).catch(ignoreExisting);
  const check = checks[type];
  if (check === undefined) {
    if (type !== '') throw new GantryError('invalid', `unknown hostPath type ${JSON.stringify(type)}`);
    return path;
  }
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined || !check(stats)) throw new GantryError('invalid', `hostPath type check failed: ${path} is not a ${type.replace('OrCreate', '')}`);
  return path;
}

function ignoreExisting(error: unknown): void {
  if (errnoOf(error) !== 'EEXIST' && errnoOf(error) !== 'ENOTDIR') throw error;
}
