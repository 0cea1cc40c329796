import { shortHash } from '../../kernel/mod.ts';
import { FileDigests } from '../files/file-digests.ts';

const maxSelections = 1000;

/** What is known of contexts that are kept between builds: digests of their files, and of what a step takes of one while it has not changed. In memory. */
export class ContextDigests {
  readonly files = new FileDigests();
  readonly #selections = new Map<string, readonly (readonly [string, string])[]>();

  /** The digests of a selection of a context's files; `compute` when that version of it has not been asked for before. */
  async of(version: string, selection: unknown, compute: () => Promise<[string, string][]>): Promise<readonly (readonly [string, string])[]> {
    const key = shortHash(JSON.stringify([version, selection]), 64);
    const known = this.#selections.get(key);
    if (known !== undefined) return known;
    const digests = await compute();
    if (this.#selections.size >= maxSelections) this.#selections.clear();
    this.#selections.set(key, digests);
    return digests;
  }
}
