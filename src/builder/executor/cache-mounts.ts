import { createHash } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { randomHex } from '../../kernel/mod.ts';
import { KeyedLock } from '../cache/keyed-lock.ts';
import type { CacheSharing } from '../dockerfile/run-mount.ts';

export interface CacheMountRequest {
  readonly id: string;
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

/** The folders of `RUN --mount=type=cache`: kept from build to build, one for each id and trust scope. */
export class CacheMounts {
  readonly #folder: string;
  readonly #locks = new KeyedLock();
  readonly #privateUsers = new Map<string, Set<number>>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** `shared`: everyone at once; `locked`: one after the other; `private`: a further folder for each that runs at the same time. */
  async hold(request: CacheMountRequest, signal: AbortSignal): Promise<HeldCacheMount> {
    const name = createHash('sha256').update(request.id).digest('hex');
    if (request.sharing === 'private') {
      const index = this.#takeIndex(name);
      const folder = await this.#folderOf(index === 0 ? name : `${name}-${index}`, request);
      return { folder, [Symbol.dispose]: () => void this.#privateUsers.get(name)?.delete(index) };
    }
    const lock = request.sharing === 'locked' ? await this.#locks.hold(name, signal) : undefined;
    const folder = await this.#folderOf(name, request);
    return { folder, [Symbol.dispose]: () => lock?.[Symbol.dispose]() };
  }

  #takeIndex(name: string): number {
    const users = this.#privateUsers.get(name) ?? new Set<number>();
    this.#privateUsers.set(name, users);
    let index = 0;
    while (users.has(index)) index += 1;
    users.add(index);
    return index;
  }

  async #folderOf(name: string, { uid, gid, mode, fill }: CacheMountRequest): Promise<string> {
    const folder = join(this.#folder, name, 'data');
    if (existsSync(folder)) return folder;
    const filling = join(this.#folder, name, `new-${randomHex(6)}`);
    mkdirSync(filling, { recursive: true, mode: 0o700 });
    await fill?.(filling);
    chownSync(filling, uid, gid);
    chmodSync(filling, mode);
    return publish(filling, folder);
  }
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
