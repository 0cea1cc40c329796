import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mergePatchOf } from './write-status.ts';

test('mergePatchOf() gives the smallest merge patch, or none', () => {
  const cases: [before: object, after: object, patch: object | undefined][] = [
    [{ a: 1 }, { a: 1 }, undefined],
    [{ a: 1 }, { a: 1, b: undefined }, undefined],
    [{}, { a: 0, b: 2 }, { a: 0, b: 2 }],
    [{ a: 1, b: 2 }, { b: 3 }, { a: null, b: 3 }],
    [{ a: 1 }, { a: undefined }, { a: null }],
    [{ list: [1, 2] }, { list: [2] }, { list: [2] }],
    [{ deep: { x: 1, y: 2 } }, { deep: { x: 1, y: 3 } }, { deep: { y: 3 } }],
    [{ list: [{ a: 1 }] }, { list: [{ a: 1, b: undefined }] }, undefined],
  ];
  for (const [before, after, patch] of cases) assert.deepEqual(mergePatchOf(before, after), patch, JSON.stringify([before, after]));
});
