import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatError, formatPlace, GantryError, toGantryError } from './errors.ts';

test('toGantryError() keeps ours, and maps aborts, time-outs and the rest', () => {
  const ours = new GantryError('conflict', 'changed');
  const cases: [unknown, string][] = [
    [ours, 'conflict'],
    [new DOMException('stop', 'AbortError'), 'cancelled'],
    [new DOMException('late', 'TimeoutError'), 'timeout'],
    [new TypeError('x is not a function'), 'internal'],
    ['a string', 'internal'],
  ];
  assert.deepEqual(cases.map(([error]) => toGantryError(error).code), cases.map(([, code]) => code));
  assert.equal(toGantryError(ours), ours);
});

test('formatPlace() prints what is known', () => {
  const cases = [
    [{ message: 'unknown instruction', file: 'Dockerfile', line: 3, column: 1 }, 'Dockerfile:3:1: unknown instruction'],
    [{ message: 'Required value', field: 'spec.replicas' }, 'spec.replicas: Required value'],
    [{ message: 'empty' }, 'empty'],
  ] as const;
  for (const [place, text] of cases) assert.equal(formatPlace(place), text);
});

test('formatError() prints the chain of causes without repeating itself', () => {
  const error = new GantryError('unavailable', 'cannot pull', { cause: new Error('connect failed', { cause: new Error('connect failed') }) });
  assert.equal(formatError(error), 'cannot pull: connect failed');
});
