import { lstat, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, GantryError, randomHex, readTextIfExists, runCommand, syncFolder, systemClock, writeFileAtomic } from '../kernel/mod.ts';
import { BareRepository } from './bare-repository.ts';
import { gitEnvironment, type GitSettings } from './git-command.ts';
import { checkRepositoryName, defaultNamespace, isNamespaceName, isRepositoryName, type RepositoryName } from './names.ts';

/** Attributes that outrank those in the tree: archives hold every file, byte for byte as committed. */
const archiveAttributes = '* -export-ignore -export-subst\n';
const trashPrefix = '.removed-';
/** Longer than any movement of refs takes. */
const staleLockMs = 60_000;

/**
 * The folder of all bare repositories: `<name>.git` for the namespace `default`, `<namespace>/<name>.git` for the others.
 * A repository appears and disappears by one rename, so that a crash leaves no half of one.
 */
export class RepositoryRoot {
  readonly folder: string;
  readonly #settings: GitSettings;

  constructor(folder: string, settings: GitSettings) {
    this.folder = folder;
    this.#settings = settings;
  }

  /** Creates the root and clears what a crash left of repositories being made or removed. */
  static async open(folder: string, settings: GitSettings): Promise<RepositoryRoot> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const entry of await readdir(folder)) if (entry.startsWith(trashPrefix)) await rm(join(folder, entry), { recursive: true, force: true });
    const root = new RepositoryRoot(folder, settings);
    for (const name of (await root.list()).repositories) await removeStaleLocks(root.#pathOf(name));
    return root;
  }

  /** The repository if it is there. `invalid` for names that are none. */
  async find(name: RepositoryName): Promise<BareRepository | undefined> {
    const folder = this.#pathOf(name);
    return (await isBareRepository(folder)) ? new BareRepository(folder, this.#settings) : undefined;
  }

  /** As `find`, with `not-found`. */
  async get(name: RepositoryName): Promise<BareRepository> {
    const found = await this.find(name);
    if (found === undefined) throw new GantryError('not-found', `there is no repository ${name.namespace}/${name.name}`);
    return found;
  }

  /** Makes the repository unless it is there. */
  async create(name: RepositoryName, defaultBranch: string, signal: AbortSignal): Promise<BareRepository> {
    const present = await this.find(name);
    if (present !== undefined) return present;
    const [target, building] = [this.#pathOf(name), join(this.folder, `${trashPrefix}${randomHex(6)}`)];
    await runCommand('git', ['init', '--quiet', '--bare', '--template=', '--object-format=sha1', `--initial-branch=${defaultBranch}`, building], { env: gitEnvironment(this.#settings) }, signal);
    await prepareAttributes(building);
    await mkdir(join(target, '..'), { recursive: true });
    await rename(building, target);
    await syncFolder(join(target, '..'));
    return new BareRepository(target, this.#settings);
  }

  /** Makes a repository that was found in the folder ready to be served. Idempotent. */
  async adopt(name: RepositoryName): Promise<void> {
    await prepareAttributes(this.#pathOf(name));
  }

  /** Removes the repository if it is there. */
  async remove(name: RepositoryName): Promise<void> {
    const trash = join(this.folder, `${trashPrefix}${randomHex(6)}`);
    try {
      await rename(this.#pathOf(name), trash);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return;
      throw error;
    }
    await syncFolder(this.folder);
    await rm(trash, { recursive: true, force: true });
  }

  /** All repositories of the root, and the folders that look like one but cannot be named by a resource. */
  async list(): Promise<{ repositories: RepositoryName[]; unusable: string[] }> {
    const repositories: RepositoryName[] = [];
    const unusable: string[] = [];
    const scan = async (namespace: string, folder: string): Promise<void> => {
      for (const entry of (await readdir(folder, { withFileTypes: true })).toSorted((a, b) => a.name.localeCompare(b.name))) {
        if (!entry.isDirectory() || entry.name.startsWith('.')) continue;
        if (!entry.name.endsWith('.git')) {
          if (folder === this.folder && isNamespaceName(entry.name) && entry.name !== defaultNamespace) await scan(entry.name, join(folder, entry.name));
          continue;
        }
        if (!(await isBareRepository(join(folder, entry.name)))) continue;
        const name = entry.name.slice(0, -'.git'.length);
        if (isRepositoryName(name)) repositories.push({ namespace, name });
        else unusable.push(join(folder, entry.name));
      }
    };
    await scan(defaultNamespace, this.folder);
    return { repositories, unusable };
  }

  #pathOf(name: RepositoryName): string {
    checkRepositoryName(name);
    return name.namespace === defaultNamespace ? join(this.folder, `${name.name}.git`) : join(this.folder, name.namespace, `${name.name}.git`);
  }
}

/** Removes the lock files that git left when it was killed, without which their refs could never move again. Younger ones may be in use. */
async function removeStaleLocks(folder: string): Promise<void> {
  const own = (await readdir(folder)).map((name) => join(folder, name));
  const refs = (await readdir(join(folder, 'refs'), { recursive: true })).map((name) => join(folder, 'refs', name));
  for (const path of [...own, ...refs].filter((candidate) => candidate.endsWith('.lock'))) {
    const { mtimeMs } = await stat(path);
    if (systemClock.now() - mtimeMs > staleLockMs) await rm(path, { force: true });
  }
}

/** A real folder (no symbolic link) with HEAD, objects and refs. */
async function isBareRepository(folder: string): Promise<boolean> {
  try {
    const [own, head, objects] = await Promise.all([lstat(folder), readFile(join(folder, 'HEAD'), 'utf8'), stat(join(folder, 'objects'))]);
    return own.isDirectory() && objects.isDirectory() && /^(?:ref: |[0-9a-f]{40})/.test(head);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return false;
    throw error;
  }
}

async function prepareAttributes(folder: string): Promise<void> {
  const path = join(folder, 'info', 'attributes');
  const present = (await readTextIfExists(path)) ?? '';
  if (!present.includes(archiveAttributes)) await writeFileAtomic(path, present + archiveAttributes, 0o644);
}
