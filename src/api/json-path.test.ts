import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../kernel/mod.ts';
import { JsonPath } from './json-path.ts';

const pod = {
  metadata: { name: 'a', annotations: { 'a.b/c': 'x' } },
  status: { conditions: [{ type: 'Ready', status: 'True', n: 3 }, { type: 'Scheduled', status: 'False', n: 7 }], ips: ['1', '2'] },
};

test('JsonPath finds values', () => {
  const table: [path: string, found: unknown[]][] = [
    ['.metadata.name', ['a']],
    ['{.metadata.name}', ['a']],
    ['$.metadata.name', ['a']],
    [String.raw`.metadata.annotations.a\.b/c`, ['x']],
    [".metadata.annotations['a.b/c']", ['x']],
    ['.status.conditions[?(@.type=="Ready")].status', ['True']],
    [".status.conditions[?(@.type=='Nope')].status", []],
    ['.status.conditions[?(@.n>5)].type', ['Scheduled']],
    ['.status.conditions[?(@.type)].n', [3, 7]],
    ['.status.conditions[*].type', ['Ready', 'Scheduled']],
    ['.status.conditions[1].type', ['Scheduled']],
    ['.status.ips[-1]', ['2']],
    ['.status.ips[9]', []],
    ['.missing.field', []],
    ['.metadata.name.length', []],
    ['.constructor', []],
  ];
  for (const [path, found] of table) assert.deepEqual(JsonPath.parse(path).find(pod), found, path);
  assert.deepEqual(JsonPath.parse('.spec.a.b').fields, ['spec', 'a', 'b']);
  assert.equal(JsonPath.parse('.spec.a[0]').fields, undefined);
});

test('JsonPath.parse() refuses what it does not know', () => {
  for (const path of ['metadata', '.a[', '.a[?(@.b', '..a', '.a[(@.length-1)]']) assert.throws(() => JsonPath.parse(path), (error) => isError(error, 'invalid'), path);
});
