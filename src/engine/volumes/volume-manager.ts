import { execFile } from 'node:child_process';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GantryError, randomHex, readTextIfExists, writeFileAtomic } from '../../kernel/mod.ts';
import type { EventLog } from '../events/event-log.ts';
import type { VolumeRecord } from '../types.ts';
import { parseLocalOptions } from './local-options.ts';
import { checkVolumeName } from './volume-name.ts';

/** Named folders that outlive containers. One folder each: `volume.json` and `data`. */
export class VolumeManager {
  readonly #folder: string;
  readonly #events: EventLog;
  readonly #volumes = new Map<string, VolumeRecord>();

  private constructor(folder: string, events: EventLog) {
    this.#folder = folder;
    this.#events = events;
  }

  static async open(folder: string, events: EventLog): Promise<VolumeManager> {
    const manager = new VolumeManager(folder, events);
    await mkdir(folder, { recursive: true, mode: 0o711 });
    for (const name of await readdir(folder)) {
      const text = await readTextIfExists(join(folder, name, 'volume.json'));
      if (text === undefined) await rm(join(folder, name), { recursive: true, force: true });
      else manager.#volumes.set(name, JSON.parse(text) as VolumeRecord);
    }
    return manager;
  }

  list(): readonly VolumeRecord[] {
    return [...this.#volumes.values()];
  }

  get(name: string): VolumeRecord {
    const volume = this.#volumes.get(name);
    if (volume === undefined) throw new GantryError('not-found', `get ${name}: no such volume`);
    return volume;
  }

  async create(request: { name?: string; labels: Record<string, string>; options: Record<string, string>; scopeId?: string }): Promise<VolumeRecord> {
    const name = request.name === undefined || request.name === '' ? randomHex(32) : request.name;
    const existing = this.#volumes.get(name);
    if (existing !== undefined) return existing;
    checkVolumeName(name);
    parseLocalOptions(request.options);
    const mountpoint = join(this.#folder, name, 'data');
    const volume: VolumeRecord = { name, mountpoint, createdAt: new Date().toISOString(), labels: request.labels, options: request.options, isAnonymous: request.name === undefined || request.name === '', ...(request.scopeId === undefined ? {} : { scopeId: request.scopeId }) };
    this.#volumes.set(name, volume);
    await mkdir(mountpoint, { recursive: true, mode: 0o755 });
    await writeFileAtomic(join(this.#folder, name, 'volume.json'), JSON.stringify(volume));
    this.#events.publish({ type: 'volume', action: 'create', id: name, attributes: { driver: 'local' } });
    return volume;
  }

  /** The caller has checked that nobody uses it. */
  async remove(name: string): Promise<void> {
    this.get(name);
    this.#volumes.delete(name);
    // Without its record it is gone, whenever the data follow.
    await rename(join(this.#folder, name, 'volume.json'), join(this.#folder, name, 'removed'));
    await rm(join(this.#folder, name), { recursive: true, force: true });
    this.#events.publish({ type: 'volume', action: 'destroy', id: name, attributes: { driver: 'local' } });
  }

  /** Fills an empty volume with what the image has at the place, ownership and attributes included. */
  async copyUp(folder: string, source: string): Promise<void> {
    if ((await readdir(folder)).length > 0) return;
    await promisify(execFile)('cp', ['-a', '--', `${source}/.`, `${folder}/`]);
  }
}
