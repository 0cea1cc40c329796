import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duplicateFields } from './duplicate-fields.ts';

test('duplicateFields() names repeated keys with their paths', () => {
  const table: [text: string, found: string[]][] = [
    ['{}', []],
    ['{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}', []],
    ['{"a":1,"a":2}', ['a']],
    ['{"spec":{"x":[{"n":1},{"n":1,"m":2,"n":3}],"y":1,"y":{"z":1,"z":2}}}', ['spec.x[1].n', 'spec.y', 'spec.y.z']],
    [String.raw`{"a\"":"x,\"a\"\\","a\"":2,"b":"{\"b\":"}`, ['a"']],
    [String.raw`{"a":1,"\u0061":2}`, ['a']],
    ['[{"a":1},"a","a"]', []],
    ['{"a":["b","b"],"b":1}', []],
    ['{"a":"a","b":"a"}', []],
  ];
  for (const [text, found] of table) assert.deepEqual(duplicateFields(text), found, text);
});
