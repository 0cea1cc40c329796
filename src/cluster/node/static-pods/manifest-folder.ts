import { type FSWatcher, watch } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../../kernel/mod.ts';

/** A file is looked at when it has been left alone for this long: editors and copies write in several steps. */
const settleMs = 100;

/** Manifests of static pods: the files of one folder, read again whenever something in it changes. */
export class ManifestFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** File name → text, of all files that are no hidden ones. A file that vanishes meanwhile is not there. */
  async read(): Promise<Map<string, string>> {
    await mkdir(this.path, { recursive: true, mode: 0o700 });
    const entries = await readdir(this.path, { withFileTypes: true });
    const files = new Map<string, string>();
    for (const { name } of entries.filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.')).toSorted((a, b) => a.name.localeCompare(b.name))) {
      try {
        files.set(name, await readFile(join(this.path, name), 'utf8'));
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error;
      }
    }
    return files;
  }

  /** Calls back after changes, until disposed (inotify). The folder has to exist. */
  watch(onChange: () => void): Disposable {
    let timer: NodeJS.Timeout | undefined;
    const watcher: FSWatcher = watch(this.path, () => {
      clearTimeout(timer);
      timer = setTimeout(onChange, settleMs);
    });
    return {
      [Symbol.dispose]: () => {
        clearTimeout(timer);
        watcher.close();
      },
    };
  }
}
