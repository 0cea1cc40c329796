import { join } from 'node:path';
import { GantryError, Mutex, writeFileAtomic } from '../../kernel/mod.ts';
import type { ContainerRecord, NetworkRecord, VolumeRecord } from '../types.ts';
import { type ScopeRecord, scopeLabel } from './policy.ts';

/** An open scope: what it allows, and what belongs to it. The facades of this folder ask it; it is written to disk with every change. */
export class Scope {
  readonly #file: string;
  readonly #writing = new Mutex();
  #record: ScopeRecord;
  readonly #made = new Set<string>();

  constructor(folder: string, record: ScopeRecord) {
    this.#file = join(folder, `${record.id}.json`);
    this.#record = record;
  }

  get record(): ScopeRecord {
    return this.#record;
  }

  get id(): string {
    return this.#record.id;
  }

  /** The network that stands for Docker's `bridge` in this scope. */
  get networkName(): string {
    return `scope-${this.#record.name}`;
  }

  /** What everything that is made gets. */
  get labels(): Record<string, string> {
    return { ...this.#record.policy.labels, [scopeLabel]: this.#record.name };
  }

  /** By a mark that no client and no image can set. */
  ownsContainer({ spec }: ContainerRecord): boolean {
    return spec.scope?.id === this.id;
  }

  ownsNetwork({ kind, spec }: NetworkRecord): boolean {
    return kind === 'user' && spec.scopeId === this.id;
  }

  ownsVolume({ scopeId }: VolumeRecord): boolean {
    return scopeId === this.id;
  }

  /** Notes what was made, for events that come when it is gone. */
  noteMade(idOrName: string): void {
    this.#made.add(idOrName);
  }

  isMade(idOrName: string): boolean {
    return this.#made.has(idOrName);
  }

  /** Every change begins with it. */
  checkOpen(): void {
    if (this.#record.isClosing || Date.now() >= this.#record.expiresAtMs) throw this.refusal('it has ended');
  }

  refusal(why: string): GantryError {
    return new GantryError('forbidden', `the endpoint ${this.#record.name} does not allow this: ${why}`);
  }

  /** Changes the record, on disk first. */
  async change(change: (record: ScopeRecord) => Partial<ScopeRecord>): Promise<void> {
    await this.#writing.run(async () => {
      const next = { ...this.#record, ...change(this.#record) };
      await writeFileAtomic(this.#file, JSON.stringify(next));
      this.#record = next;
    });
  }
}
