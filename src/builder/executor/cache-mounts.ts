import { createHash } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { GantryError, randomHex, readTextIfExists, runCommand, writeFileAtomic } from '../../kernel/mod.ts';
import type { CacheAccess } from '../cache/cache-access.ts';
import { KeyedLock } from '../cache/keyed-lock.ts';
import type { CacheSharing } from '../dockerfile/run-mount.ts';
import { folderBytes } from '../files/folder-bytes.ts';

export interface CacheMountRequest {
  readonly id: string;
  readonly access: CacheAccess;
  readonly sharing: CacheSharing;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  /** Fills a folder that is made new. */
  readonly fill: ((folder: string) => Promise<void>) | undefined;
}

export interface HeldCacheMount extends Disposable {
  readonly folder: string;
}

/** A folder of `RUN --mount=type=cache`, for people. */
export interface CacheMountInfo {
  readonly id: string;
  readonly scope: string;
  readonly sizeBytes: number;
  /** RFC 3339. */
  readonly usedAt: string;
  readonly isInUse: boolean;
}

const labelSchema = z.strictObject({ id: z.string(), scope: z.string() });

/**
 * The folders of `RUN --mount=type=cache`: kept from build to build, one for each id and trust scope. A build that may read another
 * scope begins with a copy of that scope's folder.
 */
export class CacheMounts {
  readonly #folder: string;
  readonly #locks = new KeyedLock();
  /** By name: who has which folder now. */
  readonly #users = new Map<string, number>();
  readonly #privateUsers = new Map<string, Set<number>>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** `shared`: everyone at once; `locked`: one after the other; `private`: a further folder for each that runs at the same time. */
  async hold(request: CacheMountRequest, signal: AbortSignal): Promise<HeldCacheMount> {
    const name = nameOf(request.id, request.access.scope);
    using stack = new DisposableStack();
    stack.use(this.#use(name));
    if (request.sharing === 'locked') stack.use(await this.#locks.hold(name, signal));
    const index = request.sharing === 'private' ? this.#takeIndex(name) : 0;
    if (request.sharing === 'private') stack.defer(() => void this.#privateUsers.get(name)?.delete(index));
    const folder = await this.#folderOf(name, index === 0 ? 'data' : `data-${index}`, request, signal);
    const held = stack.move();
    return { folder, [Symbol.dispose]: () => held.dispose() };
  }

  async list(): Promise<CacheMountInfo[]> {
    const names = existsSync(this.#folder) ? await readdir(this.#folder) : [];
    const found = await Promise.all(names.map((name) => this.#describe(name)));
    return found.flatMap((info) => info ?? []).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** The folder of an id, held so that it is not removed; `not-found` when there is none. For export. */
  holdExisting(id: string, scope: string): HeldCacheMount {
    const name = nameOf(id, scope);
    const folder = join(this.#folder, name, 'data');
    if (!existsSync(folder)) throw new GantryError('not-found', `there is no cache mount ${JSON.stringify(id)}`);
    const use = this.#use(name);
    return { folder, [Symbol.dispose]: () => use[Symbol.dispose]() };
  }

  /** Replaces the folder of an id with one that `fill` fills. `conflict` while a build uses it. */
  async replace(id: string, scope: string, fill: (folder: string) => Promise<void>): Promise<void> {
    const name = nameOf(id, scope);
    const filling = join(this.#folder, name, `new-${randomHex(6)}`);
    mkdirSync(filling, { recursive: true, mode: 0o700 });
    try {
      await fill(filling);
      if ((this.#users.get(name) ?? 0) > 0) throw new GantryError('conflict', `a build uses the cache mount ${JSON.stringify(id)}`);
      await writeFileAtomic(join(this.#folder, name, 'label.json'), JSON.stringify({ id, scope }));
      const old = join(this.#folder, name, `old-${randomHex(6)}`);
      if (existsSync(join(this.#folder, name, 'data'))) await rename(join(this.#folder, name, 'data'), old);
      await rename(filling, join(this.#folder, name, 'data'));
      await rm(old, { recursive: true, force: true });
    } finally {
      await rm(filling, { recursive: true, force: true });
    }
  }

  /** Removes those used longest ago, and not now, until the rest fits `maxBytes`. Resolves to the bytes that went. */
  async evict(maxBytes: number): Promise<number> {
    const mounts = (await this.list()).toSorted((a, b) => (a.usedAt < b.usedAt ? 1 : -1));
    let total = 0;
    let freed = 0;
    for (const { id, scope, sizeBytes } of mounts) {
      const name = nameOf(id, scope);
      total += sizeBytes;
      // Asked again: listing took its time.
      if (total <= maxBytes || (this.#users.get(name) ?? 0) > 0) continue;
      total -= sizeBytes;
      freed += sizeBytes;
      const gone = join(this.#folder, `gone-${randomHex(6)}`);
      renameSync(join(this.#folder, name), gone);
      await rm(gone, { recursive: true, force: true });
    }
    return freed;
  }

  /** Removes what a crash left half-done. Nothing may be in use. */
  async sweep(): Promise<void> {
    for (const name of existsSync(this.#folder) ? await readdir(this.#folder) : []) {
      if (name.startsWith('gone-')) await rm(join(this.#folder, name), { recursive: true, force: true });
      else for (const inner of await readdir(join(this.#folder, name))) if (/^(?:new|old)-/.test(inner)) await rm(join(this.#folder, name, inner), { recursive: true, force: true });
    }
  }

  async #describe(name: string): Promise<CacheMountInfo | undefined> {
    const path = join(this.#folder, name, 'label.json');
    const label = labelSchema.safeParse(parseJson(await readTextIfExists(path)));
    if (!label.success) return undefined;
    return { ...label.data, sizeBytes: await folderBytes(join(this.#folder, name)), usedAt: (await stat(path)).mtime.toISOString(), isInUse: (this.#users.get(name) ?? 0) > 0 };
  }

  #use(name: string): Disposable {
    this.#users.set(name, (this.#users.get(name) ?? 0) + 1);
    return { [Symbol.dispose]: () => void this.#users.set(name, (this.#users.get(name) ?? 1) - 1) };
  }

  #takeIndex(name: string): number {
    const users = this.#privateUsers.get(name) ?? new Set<number>();
    this.#privateUsers.set(name, users);
    let index = 0;
    while (users.has(index)) index += 1;
    users.add(index);
    return index;
  }

  async #folderOf(name: string, part: string, { id, access, uid, gid, mode, fill }: CacheMountRequest, signal: AbortSignal): Promise<string> {
    const parent = join(this.#folder, name);
    const folder = join(parent, part);
    mkdirSync(parent, { recursive: true, mode: 0o700 });
    const label = join(parent, 'label.json');
    if (existsSync(label)) await utimes(label, new Date(), new Date());
    else await writeFileAtomic(label, JSON.stringify({ id, scope: access.scope }));
    if (existsSync(folder)) return folder;
    const filling = join(parent, `new-${randomHex(6)}`);
    mkdirSync(filling, { mode: 0o700 });
    const readable = access.readable.map((scope) => join(this.#folder, nameOf(id, scope), 'data')).find((candidate) => existsSync(candidate));
    try {
      if (readable !== undefined) await runCommand('cp', ['-a', '--reflink=auto', `${readable}/.`, filling], {}, signal);
      else {
        await fill?.(filling);
        chownSync(filling, uid, gid);
        chmodSync(filling, mode);
      }
    } catch (error) {
      rmSync(filling, { recursive: true, force: true });
      throw error;
    }
    return publish(filling, folder);
  }
}

function nameOf(id: string, scope: string): string {
  return createHash('sha256').update(`${scope}\0${id}`).digest('hex');
}

/** Whoever is first gives the folder its name; the others use it. */
async function publish(filling: string, folder: string): Promise<string> {
  try {
    await rename(filling, folder);
  } catch (error) {
    rmSync(filling, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}
