import { chown, chmod, lstat, mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf, GantryError, randomHex } from '../../../kernel/mod.ts';

export interface PayloadFile { readonly data: Buffer; readonly mode: number }
/** Path inside the volume → its content. */
export type Payload = ReadonlyMap<string, PayloadFile>;

const dataLink = '..data';

/**
 * Makes the folder show exactly the payload, all at once: the files are written to a new folder, then `..data` is swapped to it
 * by a rename; what users see are links through `..data`. Readers never see a mixture. Returns whether anything changed.
 */
export async function writeAtomicFolder(folder: string, payload: Payload, group: number | undefined): Promise<boolean> {
  for (const path of payload.keys()) checkPath(path);
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const before = await readLinkIfExists(join(folder, dataLink));
  if (before !== undefined && (await isSame(join(folder, before), payload))) return false;
  const version = `..${new Date().toISOString().replaceAll(/[-:TZ]/g, '_')}${randomHex(4)}`;
  await writeVersion(join(folder, version), payload, group);
  const temporary = join(folder, `${dataLink}_tmp`);
  await rm(temporary, { force: true });
  await symlink(version, temporary);
  await rename(temporary, join(folder, dataLink));
  await linkTopLevel(folder, payload);
  await removeOldVersions(folder, version);
  return true;
}

async function writeVersion(folder: string, payload: Payload, group: number | undefined): Promise<void> {
  const folders = new Set([folder]);
  await mkdir(folder, { mode: 0o755 });
  for (const [path, { data, mode }] of payload) {
    const file = join(folder, path);
    for (let parent = dirname(file); parent.length > folder.length; parent = dirname(parent)) folders.add(parent);
    await mkdir(dirname(file), { recursive: true, mode: 0o755 });
    await writeFile(file, data, { mode: 0o600 });
    if (group !== undefined) await chown(file, 0, group);
    // The group of the volume can read what its files' owner can.
    await chmod(file, group === undefined ? mode : mode | 0o440);
  }
  for (const one of folders) {
    await chmod(one, group === undefined ? 0o755 : 0o2775);
    if (group !== undefined) await chown(one, 0, group);
  }
}

async function linkTopLevel(folder: string, payload: Payload): Promise<void> {
  const wanted = new Set([...payload.keys()].map((path) => path.split('/')[0] ?? path));
  for (const name of await readdir(folder)) {
    if (!name.startsWith('..') && !wanted.has(name)) await rm(join(folder, name), { recursive: true, force: true });
  }
  for (const name of wanted) {
    const target = `${dataLink}/${name}`;
    if ((await readLinkIfExists(join(folder, name))) === target) continue;
    await rm(join(folder, name), { recursive: true, force: true });
    await symlink(target, join(folder, name));
  }
}

async function removeOldVersions(folder: string, current: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith('..') && name !== current && name !== dataLink) await rm(join(folder, name), { recursive: true, force: true });
  }
}

async function isSame(folder: string, payload: Payload): Promise<boolean> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    if (entries.filter((entry) => entry.isFile()).length !== payload.size) return false;
    for (const [path, { data, mode }] of payload) {
      const { mode: current } = await lstat(join(folder, path));
      if ((current & mode) !== mode || !(await readFile(join(folder, path))).equals(data)) return false;
    }
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

async function readLinkIfExists(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'EINVAL') return undefined;
    throw error;
  }
}

/** Kubernetes, KeyToPath: relative, without `..`. */
function checkPath(path: string): void {
  const parts = path.split('/');
  if (path === '' || path.startsWith('/') || parts.includes('..') || parts.includes('') || parts[0]?.startsWith('..') === true) {
    throw new GantryError('invalid', `${JSON.stringify(path)} is no path inside a volume`);
  }
}
