import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runApiFaults } from './testing/fault-driver.ts';
import { checkHistory, type HeardEvent, type Operation } from './testing/fault-history.ts';

test('no acknowledged write is lost when the API server is killed under churn, and watchers go on without a gap', { timeout: 300_000 }, async () => {
  const { operations, events } = await runApiFaults({ seed: 20_260_101, rounds: 2, report: () => undefined }, AbortSignal.timeout(240_000));
  assert.ok(operations > 60 && events > 20, `${operations} requests, ${events} changes`);
});

test('checkHistory() finds what must not be', () => {
  const event = (revision: number, value: string, type: HeardEvent['type'] = 'MODIFIED'): HeardEvent => ({ type, name: 'm', revision, value });
  const operation = (kind: Operation['kind'], value: string, revision: number, sentAt: number, demanded?: number): Operation => ({ kind, name: 'm', value, sentAt, ...(demanded === undefined ? {} : { demanded }), answer: { at: sentAt + 1, code: 200, revision, value } });
  const good = [operation('create', 'a', 5, 0), operation('update', 'b', 6, 2, 5)];
  checkHistory([event(5, 'a', 'ADDED'), event(6, 'b')], good);
  const bad: [title: RegExp, events: HeardEvent[], operations: Operation[]][] = [
    [/lost/, [event(5, 'a', 'ADDED')], good],
    [/nobody wrote/, [event(5, 'a', 'ADDED'), event(6, 'b'), event(7, 'c')], good],
    [/comes after/, [event(6, 'b'), event(5, 'a')], good],
    [/replaced something else/, [event(5, 'a', 'ADDED'), event(6, 'x'), event(7, 'b')], [good[0] as Operation, operation('update', 'x', 6, 2), operation('update', 'b', 7, 4, 5)]],
    [/there was one already/, [event(5, 'a', 'ADDED'), event(6, 'b')], [good[0] as Operation, operation('create', 'b', 6, 2)]],
    [/deletions of m were acknowledged/, [event(5, 'a', 'ADDED'), event(6, 'b')], [...good, operation('delete', '', 0, 4)]],
    [/saw revision 5 after 6/, [event(5, 'a', 'ADDED'), event(6, 'b')], [...good, operation('get', 'a', 5, 10)]],
  ];
  for (const [title, events, operations] of bad) assert.throws(() => checkHistory(events, operations), title);
});
