import { chmodSync, existsSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join, posix } from 'node:path';
import type { Readable } from 'node:stream';
import { compareManifests, isFolderStamp, type Manifest, type ManifestChanges } from '../../context/mod.ts';
import { spreadFolders } from '../../host/mod.ts';
import { baseEnv, GantryError, randomHex, readTextIfExists, runCommand, shortHash, writeFileAtomic } from '../../kernel/mod.ts';
import { folderBytes } from '../files/folder-bytes.ts';
import { resolveInRoot } from '../files/resolve-in-root.ts';
import { manifestSchema } from './manifest-schema.ts';

/** A context that a client brings up to date before it builds from it. */
export interface HeldContext extends Disposable {
  readonly folder: string;
  /** Changes whenever a file does; equal versions of one context have equal files. */
  readonly version: string;
  /** The paths whose files the client has to send. */
  readonly missing: readonly string[];
  /** Takes an archive of the missing paths. Until then the context cannot be built from. */
  receive(tar: Readable, signal: AbortSignal): Promise<void>;
  readonly isComplete: boolean;
}

/** How much is kept of contexts between builds. Those used longest ago go first. */
const keptBytes = 10 * 2 ** 30;
const keptCount = 200;

/**
 * Copies of clients' context folders, kept from build to build so that only files which changed are sent again. One folder for each name
 * that clients give (their machine and path); a second build from the same folder at the same time gets a copy of its own.
 */
export class ContextStore {
  readonly #folder: string;
  readonly #busy = new Set<string>();
  /** By folder, while it has not changed. */
  readonly #versions = new Map<string, string>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Removes copies that a crash left half-done. */
  static async open(folder: string): Promise<ContextStore> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // Each copy is written as a whole.
    spreadFolders(folder);
    for (const name of await readdir(folder)) {
      const isWhole = /^[0-9a-f]{40}$/.test(name) && existsSync(join(folder, name, 'manifest.json'));
      if (!isWhole) await rm(join(folder, name), { recursive: true, force: true });
    }
    return new ContextStore(folder);
  }

  /** The copy for the name, held until disposed; what the client no longer has is gone from it. */
  async hold(name: string, wanted: Manifest): Promise<HeldContext> {
    const own = join(this.#folder, shortHash(name, 40));
    const isOwn = !this.#busy.has(own);
    const base = isOwn ? own : join(this.#folder, `once-${randomHex(8)}`);
    this.#busy.add(base);
    try {
      const known = await readKnown(base);
      const changes = compareManifests(known, wanted);
      const isSame = changes.missing.length === 0 && changes.gone.length === 0;
      if (!isSame) await this.#prepare(base, changes, wanted, known.size === 0);
      return this.#held(base, wanted, changes.missing, { isOwn, isSame });
    } catch (error) {
      this.#busy.delete(base);
      throw error;
    }
  }

  /** From here on the copy is unfinished: without its manifest it counts as missing after a crash. */
  async #prepare(base: string, { missing, gone }: ManifestChanges, wanted: Manifest, isNew: boolean): Promise<void> {
    const files = join(base, 'files');
    await rm(join(base, 'manifest.json'), { force: true });
    this.#versions.delete(base);
    mkdirSync(files, { recursive: true, mode: 0o755 });
    chmodSync(files, 0o755);
    if (isNew) return;
    for (const path of gone) rmSync(resolveInRoot(files, path, { keepsLastLink: true }), { recursive: true, force: true });
    for (const path of missing) {
      const old = resolveInRoot(files, path, { keepsLastLink: true });
      const stats = lstatSync(old, { throwIfNoEntry: false });
      // Folders that stay folders keep what is in them.
      if (stats !== undefined && !(stats.isDirectory() && isFolderStamp(wanted.get(path)))) rmSync(old, { recursive: true });
    }
  }

  #held(base: string, wanted: Manifest, missing: readonly string[], { isOwn, isSame }: { isOwn: boolean; isSame: boolean }): HeldContext {
    const versionOf = (): string => this.#versionOf(base);
    let isComplete = isSame || missing.length === 0;
    const finish = async (): Promise<void> => {
      await writeFileAtomic(join(base, 'manifest.json'), JSON.stringify([...wanted]));
      isComplete = true;
    };
    const finished = isComplete && !isSame ? finish() : Promise.resolve();
    return {
      folder: join(base, 'files'),
      missing,
      get version() {
        return versionOf();
      },
      get isComplete() {
        return isComplete;
      },
      receive: async (tar, signal) => {
        await finished;
        await unpack(tar, join(base, 'files'), signal);
        const parents = new Map<string, string>();
        for (const path of missing) {
          const [parent, name] = [posix.dirname(path), posix.basename(path)];
          const folder = parents.get(parent) ?? resolveInRoot(join(base, 'files'), parent);
          parents.set(parent, folder);
          if (lstatSync(join(folder, name), { throwIfNoEntry: false }) === undefined) throw new GantryError('invalid', `the client did not send ${path}: it went while the context was read`);
        }
        await finish();
      },
      [Symbol.dispose]: () => {
        this.#busy.delete(base);
        if (!isOwn) rmSync(base, { recursive: true, force: true });
      },
    };
  }

  #versionOf(base: string): string {
    const version = this.#versions.get(base) ?? randomHex(16);
    this.#versions.set(base, version);
    return version;
  }

  /** Keeps the copies within their budget. Those in use stay. */
  async evict(): Promise<void> {
    const names = (await readdir(this.#folder)).filter((name) => /^[0-9a-f]{40}$/.test(name));
    const copies = await Promise.all(
      names.map(async (name) => {
        const base = join(this.#folder, name);
        return { base, usedAtMs: (await stat(base).catch(() => undefined))?.mtimeMs ?? 0, bytes: await folderBytes(base) };
      }),
    );
    let [total, count] = [0, 0];
    for (const { base, bytes } of copies.toSorted((a, b) => b.usedAtMs - a.usedAtMs)) {
      total += bytes;
      count += 1;
      if ((total <= keptBytes && count <= keptCount) || this.#busy.has(base)) continue;
      total -= bytes;
      this.#versions.delete(base);
      rmSync(base, { recursive: true, force: true });
    }
  }
}

async function readKnown(base: string): Promise<Manifest> {
  const text = await readTextIfExists(join(base, 'manifest.json'));
  if (text === undefined) {
    rmSync(base, { recursive: true, force: true });
    return new Map();
  }
  const parsed = manifestSchema.safeParse(JSON.parse(text));
  if (!parsed.success) {
    rmSync(base, { recursive: true, force: true });
    return new Map();
  }
  await utimes(base, new Date(), new Date());
  return new Map(parsed.data);
}

/** Into a folder that the program sees as its root, so that no name or link leads out. */
async function unpack(tar: Readable, folder: string, signal: AbortSignal): Promise<void> {
  await runCommand('bsdtar', ['--chroot', '-x', '-p', '-P', '--numeric-owner', '--same-owner', '--xattrs', '-C', folder, '-f', '-'], { stdin: tar, env: { ...baseEnv(), LC_ALL: 'C.UTF-8' } }, signal);
}
