import { type FSWatcher, watch } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readTextIfExists } from '../../kernel/mod.ts';

/** Exit codes as monitors leave them: one file per container, written whole by a rename. */
export class ExitFiles implements Disposable {
  readonly #folder: string;
  readonly #watcher: FSWatcher;

  private constructor(folder: string, watcher: FSWatcher) {
    this.#folder = folder;
    this.#watcher = watcher;
  }

  /** Calls back with the container's id for every exit from now on (inotify; about a millisecond after the fact). Repeats are possible. */
  static async open(folder: string, onExit: (id: string) => void): Promise<ExitFiles> {
    await mkdir(folder, { recursive: true });
    const watcher = watch(folder, (_event, name) => {
      // The monitor writes a temporary file with a suffix first.
      if (name !== null && /^[0-9a-f]{64}$/.test(name)) onExit(name);
    });
    return new ExitFiles(folder, watcher);
  }

  /** The exit code, or undefined when it has not exited. */
  async read(id: string): Promise<number | undefined> {
    const text = await readTextIfExists(join(this.#folder, id));
    return text !== undefined && /^\d+\s*$/.test(text) ? Number(text) : undefined;
  }

  async forget(id: string): Promise<void> {
    await rm(join(this.#folder, id), { force: true });
  }

  async list(): Promise<string[]> {
    return (await readdir(this.#folder)).filter((name) => /^[0-9a-f]{64}$/.test(name));
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }
}
