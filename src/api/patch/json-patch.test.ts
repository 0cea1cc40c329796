import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../../kernel/mod.ts';
import { applyJsonPatch } from './json-patch.ts';

test('applyJsonPatch() applies operations in order to a copy', () => {
  const table: [title: string, document: unknown, patch: unknown[], result: unknown][] = [
    ['add a field', { a: 1 }, [{ op: 'add', path: '/b', value: 2 }], { a: 1, b: 2 }],
    ['add replaces a field', { a: 1 }, [{ op: 'add', path: '/a', value: 2 }], { a: 2 }],
    ['add into an array', { a: [1, 3] }, [{ op: 'add', path: '/a/1', value: 2 }], { a: [1, 2, 3] }],
    ['add at the end', { a: [1] }, [{ op: 'add', path: '/a/-', value: 2 }], { a: [1, 2] }],
    ['replace', { a: { b: 1 } }, [{ op: 'replace', path: '/a/b', value: null }], { a: { b: null } }],
    ['remove', { a: [1, 2], b: 1 }, [{ op: 'remove', path: '/a/0' }, { op: 'remove', path: '/b' }], { a: [2] }],
    ['move', { a: 1 }, [{ op: 'move', from: '/a', path: '/b' }], { b: 1 }],
    ['copy', { a: { x: 1 } }, [{ op: 'copy', from: '/a', path: '/b' }, { op: 'add', path: '/b/x', value: 2 }], { a: { x: 1 }, b: { x: 2 } }],
    ['test that holds', { a: [1, { b: 2 }] }, [{ op: 'test', path: '/a/1', value: { b: 2 } }], { a: [1, { b: 2 }] }],
    ['escaped names', { 'a/b': 1, 'c~d': 2 }, [{ op: 'remove', path: '/a~1b' }, { op: 'replace', path: '/c~0d', value: 3 }], { 'c~d': 3 }],
    ['the whole document', { a: 1 }, [{ op: 'replace', path: '', value: [] }], []],
  ];
  for (const [title, document, patch, result] of table) {
    const before = structuredClone(document);
    assert.deepEqual(applyJsonPatch(document, patch), result, title);
    assert.deepEqual(document, before, `${title}: the document changed`);
  }
});

test('applyJsonPatch() refuses what does not apply', () => {
  const table: unknown[] = [
    { not: 'an array' },
    [{ op: 'add', path: 'a', value: 1 }],
    [{ op: 'add', path: '/a' }],
    [{ op: 'frob', path: '/a' }],
    [{ op: 'move', path: '/a' }],
    [{ op: 'remove', path: '/missing' }],
    [{ op: 'replace', path: '/missing', value: 1 }],
    [{ op: 'test', path: '/a', value: 2 }],
    [{ op: 'add', path: '/list/5', value: 1 }],
    [{ op: 'add', path: '/list/01', value: 1 }],
    [{ op: 'add', path: '/a/b', value: 1 }],
    [{ op: 'move', from: '/object', path: '/object/inner' }],
    [{ op: 'remove', path: '/constructor' }],
  ];
  for (const patch of table) assert.throws(() => applyJsonPatch({ a: 1, list: [1], object: {} }, patch), (error) => isError(error, 'invalid'), JSON.stringify(patch));
});

test('applyJsonPatch() cannot reach a prototype', () => {
  const result = applyJsonPatch({}, [{ op: 'add', path: '/__proto__', value: { polluted: true } }]);
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  assert.deepEqual(Object.keys(result as object), ['__proto__']);
});
