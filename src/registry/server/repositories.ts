import { mkdir, open, opendir, readdir, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { type Descriptor, type Digest } from '../../api/mod.ts';
import { createFileAtomic, errnoOf, parseWith, readTextIfExists, syncFolder, writeFileAtomic } from '../../kernel/mod.ts';

const manifestSchema = z.strictObject({
  mediaType: z.string(),
  sizeBytes: z.number(),
  artifactType: z.string().optional(),
  subject: z.string().optional(),
  annotations: z.record(z.string(), z.string()).optional(),
  /** Blobs and manifests that it names: what keeps them alive. */
  references: z.array(z.string()),
});

/** What is known of a stored manifest; its bytes are a blob. */
export type ManifestRecord = Readonly<z.output<typeof manifestSchema>>;

/** How long a client that was told of a blob or manifest has time to refer to it, unless the collector is told otherwise. */
export const leaseMs = 3_600_000;

/** A repository as a collection sees it. `leasedAtMs`: when a client last was told of it, or wrote it. */
export interface RepositoryView {
  readonly tags: Map<string, { readonly digest: string; readonly setAtMs: number }>;
  readonly manifests: Map<string, ManifestRecord & { readonly leasedAtMs: number }>;
  readonly blobs: Map<string, { readonly leasedAtMs: number }>;
}

/**
 * Which repository has which manifests, tags, blobs and uploads, as small files below `<name>/_…` (names of repositories have no `_` first).
 * Every change is one file: a crash leaves the old or the new state.
 */
export class Repositories {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<Repositories> {
    await mkdir(folder, { recursive: true });
    return new Repositories(folder);
  }

  /** Whether anything was ever stored under the name. */
  async exists(repository: string): Promise<boolean> {
    return (await names(join(this.#folder, repository))).some((name) => name.startsWith('_'));
  }

  /** Names of repositories to which a manifest was pushed, sorted. */
  async list(): Promise<string[]> {
    return this.#listWith((entries) => entries.includes('_manifests'));
  }

  /** Also those that have only blobs or uploads yet. */
  async listAll(): Promise<string[]> {
    return this.#listWith((entries) => entries.some((entry) => entry.startsWith('_')));
  }

  async #listWith(isWanted: (entries: readonly string[]) => boolean): Promise<string[]> {
    const found: string[] = [];
    const walk = async (name: string): Promise<void> => {
      const entries = await names(join(this.#folder, name));
      if (name !== '' && isWanted(entries)) found.push(name);
      for (const entry of entries) if (!entry.startsWith('_')) await walk(name === '' ? entry : `${name}/${entry}`);
    };
    await walk('');
    return found.toSorted();
  }

  /** All that a collection decides by. Changes meanwhile may be seen in part. */
  async view(repository: string): Promise<RepositoryView> {
    const tags: RepositoryView['tags'] = new Map();
    for (const tag of await this.tags(repository)) {
      const digest = await this.tag(repository, tag);
      if (digest !== undefined) tags.set(tag, { digest, setAtMs: await modifiedAt(this.#path(repository, '_tags', tagFile(tag))) });
    }
    const manifests: RepositoryView['manifests'] = new Map();
    for await (const digest of this.#digests(this.#path(repository, '_manifests'))) {
      const record = await this.manifest(repository, digest);
      if (record !== undefined) manifests.set(digest, { ...record, leasedAtMs: await modifiedAt(this.#path(repository, '_manifests', hex(digest))) });
    }
    const blobs: RepositoryView['blobs'] = new Map();
    for await (const digest of this.#digests(this.#path(repository, '_blobs'))) blobs.set(digest, { leasedAtMs: await modifiedAt(this.#path(repository, '_blobs', hex(digest))) });
    return { tags, manifests, blobs };
  }

  /** Renews the leases that were held at a time or were taken since. */
  async renewLeasesSince(repository: string, sinceMs: number): Promise<void> {
    for (const [kind, folder] of [['blob', '_blobs'], ['manifest', '_manifests']] as const) {
      for await (const digest of this.#digests(this.#path(repository, folder))) {
        if ((await modifiedAt(this.#path(repository, folder, hex(digest)))) > sinceMs) await this.renewLease(repository, kind, digest);
      }
    }
  }

  /** Notes that a client has just been told that the blob or manifest is there: it may refer to it next. */
  async renewLease(repository: string, kind: 'blob' | 'manifest', digest: string): Promise<void> {
    const now = new Date();
    await utimes(this.#path(repository, kind === 'blob' ? '_blobs' : '_manifests', hex(digest)), now, now).catch((error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error;
    });
  }

  async hasBlob(repository: string, digest: string): Promise<boolean> {
    return exists(this.#path(repository, '_blobs', hex(digest)));
  }

  async addBlob(repository: string, digest: string): Promise<void> {
    const path = this.#path(repository, '_blobs', hex(digest));
    if (await exists(path)) return this.renewLease(repository, 'blob', digest);
    await touch(path);
    await syncFolder(dirname(path));
  }

  /** False when the repository did not have it. */
  async removeBlob(repository: string, digest: string): Promise<boolean> {
    return this.#remove(repository, '_blobs', hex(digest));
  }

  async *blobs(repository: string): AsyncIterable<string> {
    yield* this.#digests(this.#path(repository, '_blobs'));
  }

  async manifest(repository: string, digest: string): Promise<ManifestRecord | undefined> {
    const path = this.#path(repository, '_manifests', hex(digest));
    const text = await readTextIfExists(path);
    return text === undefined ? undefined : parseWith(manifestSchema, JSON.parse(text), 'manifest record', path);
  }

  async putManifest(repository: string, digest: string, record: ManifestRecord): Promise<void> {
    // The entry of the subject comes first: listed referrers that are not there are left out.
    if (record.subject !== undefined) await writeFileAtomic(this.#path(repository, '_referrers', hex(record.subject), hex(digest)), '');
    await writeFileAtomic(this.#path(repository, '_manifests', hex(digest)), JSON.stringify(record));
  }

  /** Removes the manifest and the tags that name it. False when there was none. */
  async removeManifest(repository: string, digest: string): Promise<boolean> {
    const record = await this.manifest(repository, digest);
    if (record === undefined) return false;
    for (const tag of await this.tagsOf(repository, digest)) await this.removeTag(repository, tag);
    if (record.subject !== undefined) await this.#remove(repository, '_referrers', hex(record.subject), hex(digest));
    return this.#remove(repository, '_manifests', hex(digest));
  }

  async *manifests(repository: string): AsyncIterable<string> {
    yield* this.#digests(this.#path(repository, '_manifests'));
  }

  /** The digest a tag names. */
  async tag(repository: string, tag: string): Promise<string | undefined> {
    return readTextIfExists(this.#path(repository, '_tags', tagFile(tag)));
  }

  async setTag(repository: string, tag: string, digest: string): Promise<void> {
    await writeFileAtomic(this.#path(repository, '_tags', tagFile(tag)), digest);
  }

  /** Sets a tag that is not there yet. False when it is. */
  async createTag(repository: string, tag: string, digest: string): Promise<boolean> {
    return createFileAtomic(this.#path(repository, '_tags', tagFile(tag)), digest);
  }

  /** The tags that name a digest. */
  async tagsOf(repository: string, digest: string): Promise<string[]> {
    const found: string[] = [];
    for (const tag of await this.tags(repository)) if ((await this.tag(repository, tag)) === digest) found.push(tag);
    return found;
  }

  async removeTag(repository: string, tag: string): Promise<boolean> {
    return this.#remove(repository, '_tags', tagFile(tag));
  }

  /** Sorted as the spec asks: by code point ("Content Discovery"). */
  async tags(repository: string): Promise<string[]> {
    return (await names(this.#path(repository, '_tags'))).filter((name) => name.endsWith('=')).map((name) => name.slice(0, -1)).toSorted();
  }

  /** Manifests of the repository whose subject is the digest. */
  async referrers(repository: string, digest: string): Promise<Descriptor[]> {
    const found: Descriptor[] = [];
    for await (const referrer of this.#digests(this.#path(repository, '_referrers', hex(digest)))) {
      const record = await this.manifest(repository, referrer);
      if (record === undefined) continue;
      const { mediaType, sizeBytes, artifactType, annotations } = record;
      found.push({ mediaType, digest: referrer as Digest, size: sizeBytes, ...(artifactType === undefined ? {} : { artifactType }), ...(annotations === undefined ? {} : { annotations }) });
    }
    return found.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
  }

  /** Binds an upload to the repository, so that nobody goes on with it through another. */
  async addUpload(repository: string, id: string): Promise<void> {
    // Nobody is promised that an upload outlives a power loss, so nothing is synced.
    await touch(this.#path(repository, '_uploads', id));
  }

  async hasUpload(repository: string, id: string): Promise<boolean> {
    return /^[0-9a-f]{1,64}$/.test(id) && (await exists(this.#path(repository, '_uploads', id)));
  }

  /** When an upload began; undefined when there is none. */
  async uploadBegan(repository: string, id: string): Promise<number | undefined> {
    return (await this.hasUpload(repository, id)) ? modifiedAt(this.#path(repository, '_uploads', id)) : undefined;
  }

  async removeUpload(repository: string, id: string): Promise<void> {
    await rm(this.#path(repository, '_uploads', id), { force: true });
  }

  async uploads(repository: string): Promise<string[]> {
    return (await names(this.#path(repository, '_uploads'))).filter((name) => /^[0-9a-f]+$/.test(name));
  }

  #path(repository: string, ...parts: string[]): string {
    return join(this.#folder, repository, ...parts);
  }

  async #remove(repository: string, ...parts: string[]): Promise<boolean> {
    const path = this.#path(repository, ...parts);
    try {
      await rm(path);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false;
      throw error;
    }
    await syncFolder(join(path, '..'));
    return true;
  }

  async *#digests(folder: string): AsyncIterable<string> {
    try {
      for await (const { name } of await opendir(folder)) if (digestNamePattern.test(name)) yield `${name.length === 64 ? 'sha256' : 'sha512'}:${name}`;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
  }
}

/** No tag holds `=`: a file that a crash left half-written (`….tmp-…`) is never taken for one. */
function tagFile(tag: string): string {
  return `${tag}=`;
}

async function exists(path: string): Promise<boolean> {
  return (await modifiedAt(path)) > 0;
}

/** An empty file: that it is there says all. */
async function touch(path: string): Promise<void> {
  try {
    await (await open(path, 'a', 0o600)).close();
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    await mkdir(dirname(path), { recursive: true });
    await (await open(path, 'a', 0o600)).close();
    await syncFolder(dirname(dirname(path)));
  }
}

/** 0 when it is gone. */
async function modifiedAt(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 0;
    throw error;
  }
}

/** The length tells the algorithm. */
const digestNamePattern = /^(?:[0-9a-f]{64}|[0-9a-f]{128})$/;

function hex(digest: string): string {
  return digest.slice(digest.indexOf(':') + 1);
}

async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
