import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../kernel/mod.ts';
import { formatBytes, formatMilli, parseQuantity, toMilli, toWhole } from './quantity.ts';

test('parseQuantity() reads every suffix exactly', () => {
  const table: [string, bigint][] = [
    ['0', 0n],
    ['1', 1_000_000_000n],
    ['100m', 100_000_000n],
    ['1.5', 1_500_000_000n],
    ['.5', 500_000_000n],
    ['2e3', 2_000_000_000_000n],
    ['1E', 10n ** 27n],
    ['1Ki', 1_024_000_000_000n],
    ['1.5Gi', 1_610_612_736_000_000_000n],
    ['3n', 3n],
    ['0.0000000001', 1n],
    ['-1k', -1_000_000_000_000n],
  ];
  for (const [text, value] of table) assert.equal(parseQuantity(text), value, text);
});

test('parseQuantity() refuses what is no quantity', () => {
  for (const text of ['', 'm', '1 Gi', '1KB', '0x10', '1e', '--1', '1ki']) {
    assert.throws(() => parseQuantity(text), (error) => isError(error, 'invalid'), text);
  }
});

test('toMilli() and toWhole() round up', () => {
  assert.deepEqual([toMilli('0.1'), toMilli('1u'), toMilli('2'), toMilli(undefined)], [100, 1, 2000, 0]);
  assert.deepEqual([toWhole('128Mi'), toWhole('1m'), toWhole('1e3'), toWhole(undefined)], [134_217_728, 1, 1000, 0]);
});

test('formatMilli() and formatBytes() write what parses back', () => {
  assert.deepEqual([1500, 2000, 0].map(formatMilli), ['1500m', '2', '0']);
  assert.deepEqual([2 ** 30, 1536 * 2 ** 20, 1000, 0].map(formatBytes), ['1Gi', '1536Mi', '1000', '0']);
});
