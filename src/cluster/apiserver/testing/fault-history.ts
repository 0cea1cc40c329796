import assert from 'node:assert/strict';

/** A change as a watcher heard it. */
export interface HeardEvent { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly name: string; readonly revision: number; readonly value: string }

/** One request: when it was sent and, unless the server was killed meanwhile, when and how it was answered. */
export interface Operation {
  readonly kind: 'create' | 'update' | 'delete' | 'get';
  readonly name: string;
  /** What it writes; no two operations write the same. */
  readonly value: string;
  /** The revision an update demands. */
  readonly demanded?: number;
  readonly sentAt: number;
  answer?: { readonly at: number; readonly code: number; readonly revision: number; readonly value: string };
}

/**
 * Checks what clients were told against the history that a watcher heard: every acknowledged write is in it, nothing is that nobody
 * wrote, revisions rise, a write that was sent after another was answered comes after it, an update replaced what it demanded to
 * replace, and a read saw nothing older than what had been acknowledged before it was sent.
 */
export function checkHistory(events: readonly HeardEvent[], operations: readonly Operation[]): void {
  for (const [index, event] of events.entries()) assert.ok(event.revision > (events[index - 1]?.revision ?? 0), `revision ${event.revision} comes after ${events[index - 1]?.revision ?? 0}`);
  const byRevision = new Map(events.map((event) => [event.revision, event]));
  const written = new Set(operations.filter(({ kind }) => kind === 'create' || kind === 'update').map(({ value }) => value));
  for (const event of events) if (event.type !== 'DELETED') assert.ok(written.has(event.value), `nobody wrote ${event.value}`);
  const answered = operations.filter((operation) => operation.answer !== undefined && operation.answer.code < 300);
  for (const operation of answered) checkAnswer(operation, byRevision, events);
  checkOrder(answered);
  // A deletion is answered without its revision: that there are as many as were acknowledged is what can be said.
  for (const name of new Set(answered.map((operation) => operation.name))) {
    const told = answered.filter((operation) => operation.name === name && operation.kind === 'delete').length;
    const heard = events.filter((event) => event.name === name && event.type === 'DELETED').length;
    assert.ok(heard >= told, `${told} deletions of ${name} were acknowledged, ${heard} have happened`);
  }
}

function checkAnswer({ kind, name, value, demanded, answer }: Operation, byRevision: ReadonlyMap<number, HeardEvent>, events: readonly HeardEvent[]): void {
  if (answer === undefined || kind === 'get') return;
  const told = `${kind} of ${name}, acknowledged at revision ${answer.revision}`;
  if (kind === 'delete') return;
  const event = byRevision.get(answer.revision);
  assert.deepEqual([event?.name, event?.value], [name, value], `${told}: lost`);
  const before = events.findLast((other) => other.name === name && other.revision < answer.revision);
  if (demanded !== undefined) assert.equal(before?.revision, demanded, `${told}: replaced something else than revision ${demanded}`);
  if (kind === 'create') assert.ok(before === undefined || before.type === 'DELETED', `${told}: there was one already`);
}

/** Real time: of two answered requests for one object of which the second was sent after the first was answered, the second knows of the first. */
function checkOrder(answered: readonly Operation[]): void {
  for (const earlier of answered) {
    if (earlier.answer === undefined || earlier.kind === 'delete') continue;
    for (const later of answered) {
      if (later.name !== earlier.name || later.answer === undefined || later.kind === 'delete' || later.sentAt <= earlier.answer.at) continue;
      assert.ok(later.answer.revision >= earlier.answer.revision, `${later.kind} of ${later.name} saw revision ${later.answer.revision} after ${earlier.answer.revision} had been told`);
    }
  }
}
