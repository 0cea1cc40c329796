import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assert as check, nat, property, uniqueArray } from 'fast-check';
import { formatIndexes, parseIndexes } from './indexes.ts';

test('formatIndexes() writes intervals as Kubernetes does', () => {
  const cases: [number[], string][] = [[[], ''], [[3], '3'], [[1, 2], '1,2'], [[1, 2, 3], '1-3'], [[7, 1, 3, 4, 5], '1,3-5,7']];
  for (const [indexes, text] of cases) assert.equal(formatIndexes(indexes), text);
});

test('parseIndexes() reads what formatIndexes() writes, and nothing out of order', () => {
  check(property(uniqueArray(nat(500)), (indexes) => assert.deepEqual([...(parseIndexes(formatIndexes(indexes)) ?? [])], indexes.toSorted((a, b) => a - b))));
  for (const text of ['x', '1,', '3-1', '2,1', '1-2,2', '-1']) assert.equal(parseIndexes(text), undefined, text);
});
