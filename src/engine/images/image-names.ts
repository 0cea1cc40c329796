import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { Digest } from '../../api/mod.ts';
import { Mutex, parseWith, readTextIfExists, writeFileAtomic } from '../../kernel/mod.ts';

const entrySchema = z.strictObject({
  /** Full names with tags. */
  references: z.array(z.string()),
  /** Full names with the digest of a manifest. */
  digests: z.array(z.string()),
  /** The manifest as it was pulled or pushed last; its blob is kept. */
  manifest: z.string().transform((text) => text as Digest).optional(),
  createdAtMs: z.number(),
  lastTaggedAt: z.string().optional(),
});
const fileSchema = z.strictObject({ version: z.literal(1), images: z.record(z.string(), entrySchema) });

export type ImageEntry = Readonly<z.output<typeof entrySchema>>;
export type ImageEntries = ReadonlyMap<Digest, ImageEntry>;

/** Which images there are and what they are called: one file, replaced whole, so that moving a name is one step. */
export class ImageNames {
  readonly #path: string;
  readonly #mutex = new Mutex();
  #entries: ImageEntries;

  private constructor(path: string, entries: ImageEntries) {
    this.#path = path;
    this.#entries = entries;
  }

  static async open(path: string): Promise<ImageNames> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const text = await readTextIfExists(path);
    const file = text === undefined ? { images: {} } : parseWith(fileSchema, JSON.parse(text), 'image names', path);
    return new ImageNames(path, new Map(Object.entries(file.images).map(([id, entry]) => [id as Digest, entry])));
  }

  get entries(): ImageEntries {
    return this.#entries;
  }

  /** Replaces the entries by what `change` makes of the newest ones; throws what it throws, then nothing has changed. */
  async update<T>(change: (entries: Map<Digest, ImageEntry>) => T): Promise<T> {
    return this.#mutex.run(async () => {
      const next = new Map(this.#entries);
      const result = change(next);
      await writeFileAtomic(this.#path, JSON.stringify({ version: 1, images: Object.fromEntries(next) }, undefined, 1));
      this.#entries = next;
      return result;
    });
  }
}

/** Gives the names to the image, taking them from others. */
export function assignNames(entries: Map<Digest, ImageEntry>, id: Digest, names: { references?: readonly string[]; digests?: readonly string[] }, now: Date): void {
  const references = new Set(names.references);
  for (const [other, entry] of entries) {
    if (other !== id && entry.references.some((name) => references.has(name))) {
      entries.set(other, { ...entry, references: entry.references.filter((name) => !references.has(name)) });
    }
  }
  const entry = entries.get(id) ?? { references: [], digests: [], createdAtMs: now.getTime() };
  entries.set(id, {
    ...entry,
    references: [...new Set([...entry.references, ...references])].toSorted(),
    digests: [...new Set([...entry.digests, ...(names.digests ?? [])])].toSorted(),
    ...(references.size === 0 ? {} : { lastTaggedAt: now.toISOString() }),
  });
}
