import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { spreadFolders } from '../../host/mod.ts';
import { readTextIfExists, writeFileAtomic, randomHex } from '../../kernel/mod.ts';
import type { EnginePaths } from '../paths.ts';
import type { ContainerId, ContainerRecord } from '../types.ts';
import { makeWritableFolder } from './rootfs.ts';

/** Version of the file's format; a file of another version is refused, never guessed at. */
const formatVersion = 1;

/** Containers on disk: one folder each, with its record, writable layer and logs. */
export class ContainerStore {
  readonly #paths: EnginePaths;

  constructor(paths: EnginePaths) {
    this.#paths = paths;
  }

  /** Folders without a record were being made or removed when the engine died; they go. */
  async load(): Promise<ContainerRecord[]> {
    await mkdir(this.#paths.containers, { recursive: true });
    spreadFolders(this.#paths.containers);
    await rm(this.#trash, { recursive: true, force: true });
    const records: ContainerRecord[] = [];
    for (const id of await readdir(this.#paths.containers)) {
      const text = await readTextIfExists(this.#paths.container(id).record);
      const parsed = text === undefined ? undefined : (JSON.parse(text) as { version: number; record: ContainerRecord });
      if (parsed?.version === formatVersion) records.push(parsed.record);
      else if (parsed === undefined) await rm(this.#paths.container(id).folder, { recursive: true, force: true });
    }
    return records.toSorted((a, b) => a.status.createdAt.localeCompare(b.status.createdAt));
  }

  /** Makes the folder and the record. Durable when it resolves, but for containers that a power loss removes anyway. */
  async create(record: ContainerRecord): Promise<void> {
    const paths = this.#paths.container(record.id);
    await Promise.all([paths.work, paths.logs, paths.etc].map((folder) => mkdir(folder, { recursive: true, mode: 0o711 })));
    makeWritableFolder(paths);
    await this.save(record, !record.spec.autoRemove);
  }

  /** `isDurable`: survives a power loss. Otherwise it survives our own crash, which is enough for what can be found out again. */
  async save(record: ContainerRecord, isDurable: boolean): Promise<void> {
    const { record: file } = this.#paths.container(record.id);
    if (isDurable) return writeFileAtomic(file, serialize(record));
    const temporary = join(dirname(file), `.record-${randomHex(4)}`);
    await writeFile(temporary, serialize(record), { mode: 0o600 });
    await rename(temporary, file);
  }

  /** Gone when it resolves, whatever happens afterwards; the files are deleted in the background. */
  async remove(id: ContainerId): Promise<void> {
    await mkdir(this.#trash, { recursive: true });
    const moved = join(this.#trash, id);
    await rename(this.#paths.container(id).folder, moved);
    // Not awaited: a large writable layer takes long, and `load` finishes what a crash interrupts.
    void rm(moved, { recursive: true, force: true }).catch(() => undefined);
  }

  get #trash(): string {
    return join(this.#paths.root, 'trash');
  }
}

function serialize(record: ContainerRecord): string {
  return JSON.stringify({ version: formatVersion, record });
}
