import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../kernel/mod.ts';
import { canonicalQuantity, parseQuantity, quantityMilliValue, quantityValue } from './quantity.ts';

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
  for (const [text, value] of table) assert.equal(parseQuantity(text).nano, value, text);
});

test('parseQuantity() refuses what is no quantity', () => {
  for (const text of ['', 'm', '1 Gi', '1KB', '0x10', '1e', '--1', '1ki']) {
    assert.throws(() => parseQuantity(text), (error) => isError(error, 'invalid'), text);
  }
});

test('quantityMilliValue() and quantityValue() round up', () => {
  assert.deepEqual(['0.1', '1u', '2'].map(quantityMilliValue), [100, 1, 2000]);
  assert.deepEqual(['128Mi', '1m', '1e3'].map(quantityValue), [134_217_728, 1, 1000]);
});

test('canonicalQuantity() writes the shortest text of the same notation', () => {
  assert.deepEqual(['1024Mi', '1536Mi', '1000m', '0.5', '2048'].map(canonicalQuantity), ['1Gi', '1536Mi', '1', '500m', '2048']);
});
