import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, link, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { baseEnv, errnoOf, GantryError, runCommand } from '../kernel/mod.ts';
import { SqliteObjectStore } from '../store/mod.ts';
import type { Instance } from './instance.ts';
import type { InstancePaths } from './paths.ts';

export interface BackupParts {
  readonly instance: Pick<Instance, 'paths' | 'settings'>;
  readonly store: Pick<SqliteObjectStore, 'copyTo'>;
}

const workPrefix = '.backup-';

/**
 * Writes the instance as a tar archive while it goes on working: objects as of one moment, then git and the registry, which have everything that those
 * objects name and perhaps more. Files that never change in place are linked first, so that nothing is removed under the archive.
 */
export async function writeBackup({ instance, store }: BackupParts, output: Writable, signal: AbortSignal): Promise<void> {
  const { paths, settings } = instance;
  const work = await mkdtemp(join(paths.dataDir, workPrefix));
  try {
    await mkdir(join(work, 'store'));
    await store.copyTo(join(work, 'store/objects.db'));
    await linkRepositories(settings.gitRoot ?? paths.git, join(work, 'git'));
    // What is named comes before what it names: the other way round a push in between would be there in part.
    await linkTree(join(paths.registry, 'repositories'), join(work, 'registry/repositories'));
    for (const algorithm of ['sha256', 'sha512']) await linkTree(join(paths.registry, 'blobs', algorithm), join(work, 'registry/blobs', algorithm));
    await linkTree(paths.pki, join(work, 'pki'));
    for (const file of [paths.token, paths.record, paths.configFile, join(paths.registry, 'token-key')]) await copyIfThere(file, join(work, file.slice(paths.dataDir.length + 1)));
    await writeFile(join(work, 'backup.json'), JSON.stringify({ version: 1 }));
    const tar = spawn('bsdtar', ['-c', '-f', '-', '-C', work, '.'], { stdio: ['ignore', 'pipe', 'inherit'], env: baseEnv(), signal });
    const ended = new Promise<number | null>((resolve, reject) => tar.once('error', reject).once('close', resolve));
    await Promise.all([pipeline(tar.stdout, output, { signal }), ended]);
    if ((await ended) !== 0) throw new GantryError('internal', 'the archive could not be written');
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Removes what a stop in the middle of a backup left. */
export async function removeBackupDebris({ dataDir }: InstancePaths): Promise<void> {
  for (const name of await readdir(dataDir)) if (name.startsWith(workPrefix)) await rm(join(dataDir, name), { recursive: true, force: true });
}

/**
 * Makes a data folder of an archive: whole or not at all. `already-exists` when there is one; `invalid` when the archive is none of ours or damaged.
 * Ports and networks are those of the archive unless the next start names others.
 */
export async function restoreBackup(archive: string, dataDir: string, signal: AbortSignal): Promise<void> {
  if (existsSync(dataDir) && (await readdir(dataDir)).some((name) => name !== 'config.yaml')) throw new GantryError('already-exists', `${dataDir} is not empty; restore into a new folder`);
  await mkdir(dirname(dataDir), { recursive: true });
  const work = await mkdtemp(`${dataDir}.restore-`);
  try {
    await runCommand('bsdtar', ['-x', '-p', '-f', archive, '-C', work], {}, signal).catch((error: unknown) => {
      throw new GantryError('invalid', `${archive} cannot be unpacked`, { cause: error });
    });
    if (!existsSync(join(work, 'backup.json'))) throw new GantryError('invalid', `${archive} is no backup of Gantry`);
    await using store = await SqliteObjectStore.open(join(work, 'store/objects.db'));
    if (!store.isIntact()) throw new GantryError('invalid', `${archive}: the object store is damaged`);
    await rm(join(work, 'backup.json'));
    const kept = join(dataDir, 'config.yaml');
    if (existsSync(kept)) await copyFile(kept, join(work, 'config.yaml'));
    await rm(dataDir, { recursive: true, force: true });
    await rename(work, dataDir);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Bare repositories: refs before objects, so that every ref's history is there. */
async function linkRepositories(from: string, to: string): Promise<void> {
  for (const entry of await entriesOf(from)) {
    if (!entry.isDirectory()) continue;
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (!entry.name.endsWith('.git')) {
      await linkRepositories(source, target);
      continue;
    }
    await linkTree(source, target, (path) => path !== 'objects');
    // A repack replaces packs: what vanishes in between is in a pack that the next look finds.
    for (let isWhole = false; !isWhole; ) isWhole = await linkTree(join(source, 'objects'), join(target, 'objects'));
  }
}

/** Links every file of a tree; files being written (`.tmp-`, `.lock`) are left out. False when a file vanished in between. */
async function linkTree(from: string, to: string, isWanted: (name: string) => boolean = () => true): Promise<boolean> {
  let isWhole = true;
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const entry of await entriesOf(from)) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (!isWanted(entry.name) || /\.tmp-[0-9a-f]+$|\.lock$/.test(entry.name)) continue;
    if (entry.isDirectory()) isWhole = (await linkTree(source, target)) && isWhole;
    else if (entry.isFile()) isWhole = (await linkFile(source, target)) && isWhole;
  }
  return isWhole;
}

/** On another file system a copy does as well. */
async function linkFile(source: string, target: string): Promise<boolean> {
  try {
    await link(source, target);
  } catch (error) {
    const reason = errnoOf(error);
    if (reason === 'ENOENT') return false;
    if (reason === 'EXDEV') return copyIfThere(source, target);
    if (reason !== 'EEXIST') throw error;
  }
  return true;
}

async function copyIfThere(source: string, target: string): Promise<boolean> {
  try {
    await mkdir(dirname(target), { recursive: true });
    await copyFile(source, target);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
