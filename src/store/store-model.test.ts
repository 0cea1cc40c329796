import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isError } from '../kernel/mod.ts';
import type { StoreEvent } from './object-store.ts';
import { SqliteObjectStore } from './sqlite-object-store.ts';
import { StoreModel } from './testing/store-model.ts';

/** One step of a random run. Steps of a batch are sent without waiting for one another. */
type Step =
  | { readonly kind: 'put' | 'delete'; readonly key: number; readonly value: string; readonly expected: 'none' | 'zero' | 'current' | 'stale' }
  | { readonly kind: 'list'; readonly back: number; readonly limit: number; readonly prefix: number }
  | { readonly kind: 'history'; readonly back: number; readonly prefix: number }
  | { readonly kind: 'compact'; readonly back: number }
  | { readonly kind: 'reopen' | 'subscribe' };

const keys = ['/a/1', '/a/2', '/a/22', '/b/1', '/b0/1', '/c/1'];
const prefixes = ['/', '/a/', '/b/', '/a/2', '/none/'];

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom<'put' | 'delete'>('put', 'put', 'put', 'delete'), key: fc.nat(keys.length - 1), value: fc.string({ maxLength: 6 }), expected: fc.constantFrom<'none' | 'zero' | 'current' | 'stale'>('none', 'zero', 'current', 'current', 'stale') }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('list' as const), back: fc.nat(12), limit: fc.nat(4), prefix: fc.nat(prefixes.length - 1) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('history' as const), back: fc.nat(12), prefix: fc.nat(prefixes.length - 1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('compact' as const), back: fc.nat(8) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom<'reopen' | 'subscribe'>('reopen', 'subscribe') }) },
);

const code = (error: unknown): string => {
  if (isError(error)) return error.code;
  throw error;
};

/** Runs batches against the store and the model, comparing every answer, what subscribers hear, and what is there after each reopening. */
class Run implements AsyncDisposable {
  readonly #path: string;
  readonly #model = new StoreModel();
  readonly #heard: { from: number; events: StoreEvent[] }[] = [];
  #store: SqliteObjectStore;

  private constructor(path: string, store: SqliteObjectStore) {
    this.#path = path;
    this.#store = store;
  }

  static async open(folder: string): Promise<Run> {
    const path = join(folder, 'store.db');
    return new Run(path, await SqliteObjectStore.open(path));
  }

  async batch(steps: readonly Step[]): Promise<void> {
    const writes = steps.flatMap((one) => (one.kind === 'put' || one.kind === 'delete' ? [this.#write(one)] : []));
    await Promise.all(writes);
    for (const one of steps) await this.#read(one);
  }

  /** Every subscriber has heard exactly the changes since it subscribed, in order. */
  checkSubscribers(): void {
    for (const { from, events } of this.#heard) assert.deepEqual(events, this.#model.events('/', from));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }

  /** The order in which writes are sent is the order in which they happen, so the model can answer at once. */
  async #write({ kind, key: index, value, expected }: Extract<Step, { kind: 'put' | 'delete' }>): Promise<void> {
    const key = keys[index] ?? '';
    const current = this.#model.get(key)?.modRevision ?? 0;
    const demanded = expected === 'none' ? undefined : expected === 'zero' ? 0 : expected === 'current' ? current : current + 7;
    const wanted = kind === 'put' ? this.#model.put(key, value, demanded) : this.#model.delete(key, demanded);
    const sent = kind === 'put' ? this.#store.put(key, value, demanded) : this.#store.delete(key, demanded);
    const got = await sent.then((result) => result, code);
    assert.deepEqual(got, wanted);
    if (typeof got !== 'string') assert.deepEqual(await this.#store.get(key), this.#model.get(key), 'a resolved write is seen by every later read');
  }

  async #read(one: Step): Promise<void> {
    switch (one.kind) {
      case 'list': {
        const revision = Math.max(0, this.#model.revision - one.back);
        const options = { revision, ...(one.limit === 0 ? {} : { limit: one.limit }) };
        const prefix = prefixes[one.prefix] ?? '/';
        assert.deepEqual(await this.#store.list(prefix, options).catch(code), this.#model.list(prefix, revision, one.limit));
        break;
      }
      case 'history': {
        const revision = Math.max(0, this.#model.revision - one.back);
        const prefix = prefixes[one.prefix] ?? '/';
        assert.deepEqual(await this.#store.eventsAfter(prefix, revision).catch(code), this.#model.history(prefix, revision));
        break;
      }
      case 'compact': {
        const revision = Math.max(0, this.#model.revision - one.back);
        this.#model.compact(revision);
        await this.#store.compact(revision);
        assert.equal(this.#store.compactedRevision, this.#model.compacted);
        break;
      }
      case 'reopen':
        await this.#store[Symbol.asyncDispose]();
        this.checkSubscribers();
        this.#heard.length = 0;
        this.#store = await SqliteObjectStore.open(this.#path);
        assert.deepEqual([this.#store.revision, this.#store.compactedRevision], [this.#model.revision, this.#model.compacted]);
        break;
      case 'subscribe': {
        const heard = { from: this.#model.revision, events: [] as StoreEvent[] };
        this.#heard.push(heard);
        this.#store.subscribe((events) => heard.events.push(...events));
        break;
      }
      default:
    }
  }
}

test('SqliteObjectStore behaves as its model under any sequence of writes, reads, compactions and reopenings', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(step, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 20 }), async (batches) => {
      const folder = await mkdtemp(join(tmpdir(), 'gantry-store-'));
      try {
        await using run = await Run.open(folder);
        for (const batch of batches) await run.batch(batch);
        run.checkSubscribers();
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    }),
    { numRuns: 60 },
  );
});
