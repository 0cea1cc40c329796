import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readTextIfExists, shortHash, writeFileAtomic } from '../../kernel/mod.ts';
import type { RemoteNote } from '../executor/remote-file.ts';

const noteSchema = z.strictObject({ digest: z.string().regex(/^[0-9a-f]{64}$/), etag: z.string().optional(), lastModified: z.string().optional() });

/** What servers said of the files that ADD fetched, by URL, so that an unchanged file is not fetched again only to see that. */
export class RemoteNotes {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<RemoteNotes> {
    await mkdir(folder, { recursive: true });
    return new RemoteNotes(folder);
  }

  async get(url: string): Promise<RemoteNote | undefined> {
    const text = await readTextIfExists(this.#path(url));
    try {
      const { digest, etag, lastModified } = noteSchema.parse(JSON.parse(text ?? ''));
      return { digest, ...(etag === undefined ? {} : { etag }), ...(lastModified === undefined ? {} : { lastModified }) };
    } catch {
      return undefined;
    }
  }

  async set(url: string, note: RemoteNote): Promise<void> {
    await writeFileAtomic(this.#path(url), JSON.stringify(note));
  }

  #path(url: string): string {
    return join(this.#folder, shortHash(url, 64));
  }
}
