import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { checkHistory, type HeardEvent, type Operation } from './fault-history.ts';

const token = 'fault-token';
const maps = '/api/v1/namespaces/default/configmaps';
const names = Array.from({ length: 8 }, (_, index) => `m-${index}`);
const writers = 6;

export interface FaultOptions {
  readonly seed: number;
  readonly rounds: number;
  readonly report: (line: string) => void;
}

/** A small generator of numbers, so that a seed repeats what clients do. */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/**
 * Kills an API server with SIGKILL in the midst of writes, again and again over one store, and checks after each round that the history a
 * watcher hears, going on where it was cut off, holds all that clients were told. Throws at the first contradiction.
 */
export async function runApiFaults({ seed, rounds, report }: FaultOptions, signal: AbortSignal): Promise<{ operations: number; events: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-api-faults-'));
  const random = randomOf(seed);
  const operations: Operation[] = [];
  const events: HeardEvent[] = [];
  try {
    for (let round = 1; round <= rounds && !signal.aborted; round += 1) {
      await playRound(join(folder, 'objects.db'), { operations, events, random, target: 20 + random(200) }, signal);
      report(`round ${round}: ${operations.length} requests, ${events.length} changes`);
    }
    // What the last kill left is looked at as well.
    if (!signal.aborted) await playRound(join(folder, 'objects.db'), { operations, events, random, target: 0 }, signal);
    return { operations: operations.length, events: events.length };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Round { readonly operations: Operation[]; readonly events: HeardEvent[]; readonly random: (below: number) => number; readonly target: number }

async function playRound(path: string, { operations, events, random, target }: Round, signal: AbortSignal): Promise<void> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'fault-child.ts'), path, token], { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = once(child, 'close');
  try {
    const url = await portOf(child, signal);
    const heard = await followFrom(url, events, signal);
    await catchUp(url, events, heard, signal);
    // Only now: what was told just before the kill may have been on its way to the watcher still.
    checkHistory(events, operations);
    if (target === 0) child.kill('SIGKILL');
    let answered = 0;
    const work = async (): Promise<void> => {
      while (child.exitCode === null && child.signalCode === null && !signal.aborted) {
        const operation = await sendOne(url, operations, random, signal);
        if (operation.answer === undefined) return;
        if ((answered += 1) === target) child.kill('SIGKILL');
      }
    };
    if (target > 0) await Promise.all(Array.from({ length: writers }, work));
    await gone;
    await heard.ended;
  } finally {
    child.kill('SIGKILL');
    await gone;
  }
}

async function portOf(child: ChildProcess, signal: AbortSignal): Promise<string> {
  if (child.stdout === null) throw new Error('no output');
  for await (const line of createInterface({ input: child.stdout, signal })) return `http://127.0.0.1:${line}`;
  throw new Error('the server ended before it listened');
}

/** Sends one request and waits for its answer; none when the server dies meanwhile. */
async function sendOne(url: string, operations: Operation[], random: (below: number) => number, signal: AbortSignal): Promise<Operation> {
  const name = names[random(names.length)] ?? '';
  const value = `v-${operations.length}`;
  const choice = random(10);
  const known = operations.findLast((operation) => operation.name === name && operation.answer !== undefined && operation.answer.code < 300 && operation.kind !== 'delete')?.answer?.revision;
  const kind = choice < 2 ? 'delete' : choice < 4 ? 'get' : choice < 6 || known === undefined ? 'create' : 'update';
  const operation: Operation = { kind, name, value, ...(kind === 'update' && known !== undefined ? { demanded: known } : {}), sentAt: performance.now() };
  operations.push(operation);
  const body = { metadata: { name, ...(operation.demanded === undefined ? {} : { resourceVersion: String(operation.demanded) }) }, data: { value } };
  const method = { create: 'POST', update: 'PUT', delete: 'DELETE', get: 'GET' }[kind];
  try {
    const response = await fetch(`${url}${maps}${kind === 'create' ? '' : `/${name}`}`, { method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, ...(kind === 'create' || kind === 'update' ? { body: JSON.stringify(body) } : {}), signal });
    const object = (await response.json()) as { metadata?: { resourceVersion?: string }; data?: { value?: string } };
    operation.answer = { at: performance.now(), code: response.status, revision: Number(object.metadata?.resourceVersion ?? 0), value: object.data?.value ?? '' };
  } catch (error) {
    // The connection broke: whether it happened, only the history knows.
    if (signal.aborted) throw error;
  }
  return operation;
}

/** Watches on from the last revision heard; `ended` when the server is gone. */
async function followFrom(url: string, events: HeardEvent[], signal: AbortSignal): Promise<{ readonly ended: Promise<void> }> {
  const from = events.at(-1)?.revision;
  const response = await fetch(`${url}${maps}?watch=1${from === undefined ? '' : `&resourceVersion=${from}`}`, { headers: { authorization: `Bearer ${token}` }, signal });
  assert.equal(response.status, 200);
  const stream = Readable.fromWeb(response.body as unknown as ReadableStream);
  const read = async (): Promise<void> => {
    try {
      for await (const line of createInterface({ input: stream })) {
        const event = parsed(line);
        if (event === undefined) continue;
        assert.notEqual(event.type, 'ERROR', line);
        const { metadata, data } = event.object;
        events.push({ type: event.type as HeardEvent['type'], name: metadata.name, revision: Number(metadata.resourceVersion), value: data?.value ?? '' });
      }
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      // Cut off by the kill.
    }
  };
  const ended = read();
  stream.on('error', () => undefined);
  return { ended };
}

/** Waits until the watcher has heard all that is there. What the list shows must be what its events add up to. */
async function catchUp(url: string, events: readonly HeardEvent[], { ended }: { readonly ended: Promise<void> }, signal: AbortSignal): Promise<void> {
  const response = await fetch(url + maps, { headers: { authorization: `Bearer ${token}` }, signal });
  const list = (await response.json()) as { items: { metadata: { name: string; resourceVersion: string }; data?: { value: string } }[] };
  const listed = new Map(list.items.map(({ metadata, data }) => [metadata.name, [Number(metadata.resourceVersion), data?.value]]));
  const state = (): Map<string, unknown> => {
    const now = new Map<string, unknown>();
    for (const { type, name, revision, value } of events) if (type === 'DELETED') now.delete(name); else now.set(name, [revision, value]);
    return new Map([...now].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  };
  const deadline = performance.now() + 30_000;
  const wanted = JSON.stringify([...listed]);
  while (JSON.stringify([...state()]) !== wanted) {
    if (performance.now() > deadline) assert.deepEqual(state(), listed, 'what a watcher heard adds up to what is there');
    await Promise.race([new Promise((resolve) => setTimeout(resolve, 5)), ended]);
  }
}

function parsed(line: string): { type: string; object: { metadata: { name: string; resourceVersion: string }; data?: { value?: string } } } | undefined {
  try {
    return JSON.parse(line) as ReturnType<typeof parsed>;
  } catch {
    // The last line before the kill may be half.
    return undefined;
  }
}
