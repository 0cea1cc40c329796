import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { StoreEvent } from './object-store.ts';
import { StoreModel } from './testing/store-model.ts';
import { type StoreAnswer, StoreProcess, type StoreState } from './testing/store-process.ts';

const keys = ['/a/1', '/a/2', '/b/1', '/c/1'];

/** One write; `demand`: none, that there is nothing, what is there now, or something else. */
interface Write { readonly key: number; readonly isDelete: boolean; readonly size: number; readonly demand: 'none' | 'zero' | 'current' | 'stale' }

/** Writes that are sent together; killed after so many answers, or waited for to the end. */
interface Batch { readonly writes: readonly Write[]; readonly killAfter: number | undefined }

const write: fc.Arbitrary<Write> = fc.record({ key: fc.nat(keys.length - 1), isDelete: fc.boolean(), size: fc.nat(400), demand: fc.constantFrom<Write['demand']>('none', 'none', 'current', 'zero', 'stale') });
const batch: fc.Arbitrary<Batch> = fc.record({ writes: fc.array(write, { minLength: 1, maxLength: 12 }), killAfter: fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.nat(6) }) });

/** A write as it was sent. */
interface Sent { readonly key: string; readonly value: string | undefined; readonly expected: number | undefined }

function applyTo(model: StoreModel, { key, value, expected }: Sent): unknown {
  return value === undefined ? model.delete(key, expected) : model.put(key, value, expected);
}

/** Drives a store in a process and a model side by side. What a kill leaves open is settled by what the next process finds. */
class KillRun {
  readonly #path: string;
  #process: StoreProcess;
  #model = new StoreModel();
  /** All that happened, in order. */
  #log: Sent[] = [];
  /** What watchers heard over all processes, each going on after what the one before heard last. */
  readonly #heard: StoreEvent[] = [];
  #values = 0;

  private constructor(path: string, process: StoreProcess) {
    this.#path = path;
    this.#process = process;
  }

  static async open(folder: string): Promise<KillRun> {
    const path = join(folder, 'store.db');
    return new KillRun(path, await StoreProcess.open(path, 0));
  }

  async batch({ writes, killAfter }: Batch): Promise<void> {
    let answered = 0;
    let isEnough: () => void = () => {};
    const enough = new Promise<void>((resolve) => (isEnough = resolve));
    const sent = writes.map((one) => {
      const [request, wanted] = this.#plan(one);
      const answer = this.#process.send(request.value === undefined ? { do: 'delete', ...demanded(request) } : { do: 'put', ...demanded(request), value: request.value }).then((given) => {
        if ((answered += 1) >= Math.min(killAfter ?? writes.length, writes.length)) isEnough();
        return given;
      });
      return { request, wanted, answer };
    });
    const from = this.#log.length - sent.length;
    if (killAfter === 0) isEnough();
    await enough;
    if (killAfter !== undefined) await this.#process.kill();
    const answers = await Promise.all(sent.map(({ answer }) => answer));
    for (const [index, answer] of answers.entries()) if (answer !== undefined) assert.deepEqual(answer, toAnswer(sent[index]?.wanted), 'answers are as if writes happened one after the other');
    if (killAfter !== undefined) await this.#restart(from + answers.findLastIndex((answer) => answer !== undefined && 'result' in answer) + 1);
  }

  /** After an ordinary end everything that was sent has happened, and watchers have heard all of it once, in order. */
  async finish(): Promise<void> {
    await this.#check();
    await this.#process.close();
    this.#heard.push(...this.#process.heard);
    assert.deepEqual(this.#heard, this.#model.events('/', 0));
  }

  /** The model answers at once: the order of sending is the order of happening. */
  #plan({ key: index, isDelete, size, demand }: Write): [Sent, unknown] {
    const key = keys[index] ?? '';
    const current = this.#model.get(key)?.modRevision ?? 0;
    const expected = demand === 'none' ? undefined : demand === 'zero' ? 0 : demand === 'current' ? current : current + 7;
    const request: Sent = { key, value: isDelete ? undefined : `${(this.#values += 1)}:${'x'.repeat(size)}`, expected };
    this.#log.push(request);
    return [request, applyTo(this.#model, request)];
  }

  /** The next process finds a beginning of what was sent, with all that was acknowledged: `acknowledged` entries of the log. */
  async #restart(acknowledged: number): Promise<void> {
    this.#heard.push(...this.#process.heard);
    this.#process = await StoreProcess.open(this.#path, this.#heard.at(-1)?.revision ?? 0);
    const { revision } = await this.#state();
    const model = new StoreModel();
    let happened = 0;
    for (const request of this.#log) {
      if (model.revision === revision && happened >= acknowledged) break;
      applyTo(model, request);
      happened += 1;
    }
    this.#model = model;
    this.#log = this.#log.slice(0, happened);
    assert.ok(happened >= acknowledged);
    assert.equal(model.revision, revision, 'an acknowledged write was lost, or one that was never sent has happened');
    await this.#check();
  }

  async #check(): Promise<void> {
    const { revision, entries, events } = await this.#state();
    assert.equal(revision, this.#model.revision);
    assert.deepEqual(entries, keys.flatMap((key) => this.#model.get(key) ?? []));
    assert.deepEqual(events, this.#model.events('/', 0));
    for (const [index, event] of [...this.#heard, ...this.#process.heard].entries()) assert.deepEqual(event, events[index], 'what a watcher heard is the history, without gap or repetition');
  }

  async #state(): Promise<StoreState> {
    const answer = await this.#process.send({ do: 'state', after: 0 });
    assert.ok(answer !== undefined && 'result' in answer);
    return answer.result as StoreState;
  }
}

function demanded({ key, expected }: Sent): { key: string; expected?: number } {
  return { key, ...(expected === undefined ? {} : { expected }) };
}

/** Refusals are codes in the model. */
function toAnswer(wanted: unknown): StoreAnswer {
  return typeof wanted === 'string' ? { code: wanted } : { result: JSON.parse(JSON.stringify(wanted)) as unknown };
}

test('SqliteObjectStore behaves as its model when its process is killed in the midst of writes', { timeout: 300_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(batch, { minLength: 2, maxLength: 8 }), async (batches) => {
      const folder = await mkdtemp(join(tmpdir(), 'gantry-store-kill-'));
      try {
        const run = await KillRun.open(folder);
        for (const one of batches) await run.batch(one);
        await run.finish();
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    }),
    // A failing run is not made smaller: which writes a kill meets is not repeatable.
    { numRuns: 4, endOnFailure: true },
  );
});
