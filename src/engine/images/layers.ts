import { createHash } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { z } from 'zod';
import type { Descriptor, Digest } from '../../api/mod.ts';
import { spreadFolders } from '../../host/mod.ts';
import { GantryError, type Logger, Mutex, parseWith, randomHex, runCommand, writeFileAtomic } from '../../kernel/mod.ts';
import { archiveTree } from './tree-archive.ts';
import type { Layer, LayerLimits } from './types.ts';
import { Unpacker } from './unpack-blob.ts';

const recordSchema = z.strictObject({
  diffId: z.string().transform((text) => text as Digest),
  sizeBytes: z.number(),
  createdAtMs: z.number(),
  /** Compressed forms whose blobs are kept. */
  blobs: z.array(z.strictObject({ mediaType: z.string(), digest: z.string().transform((text) => text as Digest), size: z.number() })),
  /** The boot in which the folder was written, until its files are known to be on the disk. */
  unsyncedBoot: z.string().optional(),
});

export type LayerRecord = Readonly<z.output<typeof recordSchema>>;

export interface LayersOptions {
  readonly folder: string;
  readonly limits: LayerLimits;
  readonly log: Logger;
}

/**
 * Unpacked layers: `snapshots/<name>` in overlay format and `layers/<name>.json`, where name is the diff id's first 24 digits
 * (mount options are short). The record is written last. A layer whose files were not yet on the disk when the machine lost power is dropped at start.
 */
export class Layers {
  readonly #options: LayersOptions;
  readonly #records: Map<Digest, LayerRecord>;
  readonly #bootId: string;
  readonly #mutex = new Mutex();
  readonly #unpacker = new Unpacker();
  #syncing: Promise<void> | undefined;

  private constructor(options: LayersOptions, records: Map<Digest, LayerRecord>, bootId: string) {
    this.#options = options;
    this.#records = records;
    this.#bootId = bootId;
  }

  static async open(options: LayersOptions): Promise<Layers> {
    const { folder } = options;
    for (const name of ['snapshots', 'layers', 'temporary']) await mkdir(join(folder, name), { recursive: true, mode: 0o700 });
    // Layers are unpacked there, and stay where they were made on the disk when they are moved.
    spreadFolders(join(folder, 'temporary'));
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const records = readRecords(folder, bootId, options.log);
    const layers = new Layers(options, records, bootId);
    await layers.#removeDebris();
    layers.#syncLater();
    return layers;
  }

  get(diffId: Digest): LayerRecord | undefined {
    return this.#records.get(diffId);
  }

  list(): LayerRecord[] {
    return [...this.#records.values()];
  }

  /** `not-found` when the layer is not here. */
  folderOf(diffId: Digest): string {
    if (!this.#records.has(diffId)) throw new GantryError('not-found', `layer ${diffId} is not in the image store`);
    return this.#snapshot(diffId);
  }

  /** A layer is about to come: unpacking it begins sooner. */
  expect(): void {
    this.#unpacker.prepare();
  }

  /** Unpacks the tar in a file, compressed or not. `layer` names it in errors; `expected` is what the tar's digest must be (`invalid` otherwise). */
  async unpack(file: string, options: { layer: string; expected: Digest; onRead?: (bytes: number) => void }, signal: AbortSignal): Promise<Layer> {
    const folder = await this.#temporaryFolder();
    try {
      const layer = await this.#unpacker.unpack(file, folder, { what: `layer ${options.layer}`, limits: this.#options.limits }, options.onRead, signal);
      if (options.expected !== layer.diffId) {
        throw new GantryError('invalid', `layer ${options.layer} unpacks to ${layer.diffId}, the image says ${options.expected}`);
      }
      return await this.#mutex.run(() => this.#commit(folder, layer));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Takes over a folder in overlay format. */
  async adopt(upperFolder: string, signal: AbortSignal): Promise<Layer | undefined> {
    if ((await readdir(upperFolder)).length === 0) return undefined;
    const hash = createHash('sha256');
    let sizeBytes = 0;
    const onFile = (size: number): void => void (sizeBytes += size);
    for await (const chunk of archiveTree(upperFolder, { format: 'overlay', onFile }, signal)) hash.update(chunk);
    const layer = { diffId: `sha256:${hash.digest('hex')}` as Digest, sizeBytes };
    const folder = join(this.#options.folder, 'temporary', randomHex(8));
    await rename(upperFolder, folder);
    try {
      // The root of an upper folder is the mount's, not a part of the layer.
      chmodSync(folder, 0o755);
      return await this.#mutex.run(() => this.#commit(folder, layer));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** The layer's tar, made from the snapshot. It equals the original only for layers that were adopted: the reader must check the digest. */
  archive(diffId: Digest, signal: AbortSignal): Readable {
    return Readable.from(archiveTree(this.folderOf(diffId), { format: 'overlay' }, signal), { objectMode: false, highWaterMark: 1 << 20 });
  }

  /** Notes that the blob is a compressed form of the layer. */
  async addBlob(diffId: Digest, blob: Descriptor): Promise<void> {
    await this.#mutex.run(async () => {
      const record = this.#records.get(diffId);
      if (record === undefined || record.blobs.some(({ digest }) => digest === blob.digest)) return;
      await this.#write({ ...record, blobs: [...record.blobs, { mediaType: blob.mediaType, digest: blob.digest, size: blob.size }] });
    });
  }

  /** Removes the layer, when it is here and `isNeeded` says no at that very moment. Returns what it was. */
  async remove(diffId: Digest, isNeeded: () => boolean): Promise<LayerRecord | undefined> {
    const trash = join(this.#options.folder, 'temporary', randomHex(8));
    const record = await this.#mutex.run(async () => {
      const found = this.#records.get(diffId);
      if (found === undefined || isNeeded()) return undefined;
      this.#records.delete(diffId);
      await rm(this.#recordPath(diffId), { force: true });
      await rename(this.#snapshot(diffId), trash);
      return found;
    });
    await rm(trash, { recursive: true, force: true });
    return record;
  }

  /** Snapshots that belong to no layer; with `isRemoved` they go. What is just being unpacked is elsewhere until it is whole. */
  async strays(isRemoved: boolean): Promise<string[]> {
    return this.#mutex.run(async () => {
      const kept = new Set(this.list().map(({ diffId }) => basename(this.#snapshot(diffId))));
      const folder = join(this.#options.folder, 'snapshots');
      const stray = readdirSync(folder).filter((name) => !kept.has(name)).map((name) => join(folder, name));
      if (isRemoved) for (const path of stray) await rm(path, { recursive: true, force: true });
      return stray;
    });
  }

  /** Waits for work in the background. */
  async settle(): Promise<void> {
    await this.#syncing;
    await this.#unpacker[Symbol.asyncDispose]();
  }

  async #commit(folder: string, layer: Layer): Promise<Layer> {
    if (this.#records.has(layer.diffId)) return layer;
    const taken = this.list().find(({ diffId }) => this.#snapshot(diffId) === this.#snapshot(layer.diffId));
    if (taken !== undefined) throw new GantryError('conflict', `layers ${layer.diffId} and ${taken.diffId} share their first digits`);
    await rename(folder, this.#snapshot(layer.diffId));
    await this.#write({ ...layer, createdAtMs: Date.now(), blobs: [], unsyncedBoot: this.#bootId });
    this.#syncLater();
    return layer;
  }

  async #write(record: LayerRecord): Promise<void> {
    await writeFileAtomic(this.#recordPath(record.diffId), JSON.stringify(record));
    this.#records.set(record.diffId, record);
  }

  /** Flushes the file system once for all layers written so far, and notes that they are safe. */
  #syncLater(): void {
    if (this.#syncing !== undefined) return;
    const unsynced = this.list().filter(({ unsyncedBoot }) => unsyncedBoot !== undefined);
    if (unsynced.length === 0) return;
    this.#syncing = this.#sync(unsynced.map(({ diffId }) => diffId))
      .catch((error: unknown) => this.#options.log.warn('cannot flush layers to the disk', { err: error }))
      .then(() => {
        this.#syncing = undefined;
        if (this.list().some(({ diffId, unsyncedBoot }) => unsyncedBoot !== undefined && !unsynced.some((done) => done.diffId === diffId))) this.#syncLater();
      });
  }

  async #sync(diffIds: readonly Digest[]): Promise<void> {
    await runCommand('sync', ['-f', join(this.#options.folder, 'snapshots')], {}, new AbortController().signal);
    for (const diffId of diffIds) {
      await this.#mutex.run(async () => {
        const record = this.#records.get(diffId);
        if (record === undefined) return;
        const { unsyncedBoot: _, ...synced } = record;
        await this.#write(synced);
      });
    }
  }

  async #temporaryFolder(): Promise<string> {
    const folder = join(this.#options.folder, 'temporary', randomHex(8));
    await mkdir(folder, { mode: 0o755 });
    return folder;
  }

  /** What a crash left: unfinished folders and snapshots without a record. */
  async #removeDebris(): Promise<void> {
    const kept = new Set(this.list().map(({ diffId }) => basename(this.#snapshot(diffId))));
    const stray = readdirSync(join(this.#options.folder, 'snapshots')).filter((name) => !kept.has(name));
    for (const name of stray) await rm(join(this.#options.folder, 'snapshots', name), { recursive: true, force: true });
    for (const name of readdirSync(join(this.#options.folder, 'temporary'))) await rm(join(this.#options.folder, 'temporary', name), { recursive: true, force: true });
  }

  #snapshot(diffId: Digest): string {
    return join(this.#options.folder, 'snapshots', layerName(diffId));
  }

  #recordPath(diffId: Digest): string {
    return join(this.#options.folder, 'layers', `${layerName(diffId)}.json`);
  }
}

function layerName(diffId: Digest): string {
  return diffId.slice('sha256:'.length, 'sha256:'.length + 24);
}

function readRecords(folder: string, bootId: string, log: Logger): Map<Digest, LayerRecord> {
  const records = new Map<Digest, LayerRecord>();
  const snapshots = new Set(readdirSync(join(folder, 'snapshots')));
  for (const name of readdirSync(join(folder, 'layers')).filter((file) => file.endsWith('.json'))) {
    const file = join(folder, 'layers', name);
    const record = parseWith(recordSchema, JSON.parse(readFileSync(file, 'utf8')), 'layer record', file);
    const isLost = record.unsyncedBoot !== undefined && record.unsyncedBoot !== bootId;
    if (isLost) log.warn('a layer was not on the disk when the machine stopped; it is dropped', { layer: record.diffId });
    if (!isLost && snapshots.has(layerName(record.diffId))) records.set(record.diffId, record);
  }
  return records;
}
