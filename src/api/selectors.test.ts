import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../kernel/mod.ts';
import { formatLabelSelector, matchesLabels, parseFieldSelector, parseLabelSelector, requirementsOf, selectorMatches } from './selectors.ts';

test('parseLabelSelector() reads every operator and matches by it', () => {
  const table: [text: string, labels: Record<string, string>, isMatch: boolean][] = [
    ['', {}, true],
    ['a=b', { a: 'b' }, true],
    ['a==b', { a: 'c' }, false],
    ['a=b,c=d', { a: 'b', c: 'd' }, true],
    ['a=b, c=d', { a: 'b' }, false],
    ['a!=b', {}, true],
    ['a!=b', { a: 'b' }, false],
    ['a in (b, c)', { a: 'c' }, true],
    ['a in (b,c),d', { a: 'c' }, false],
    ['a notin (b,c)', { a: 'd' }, true],
    ['a notin (b,c)', {}, true],
    ['a', { a: '' }, true],
    ['!a', { a: '' }, false],
    ['!a', { b: '' }, true],
    ['a=', { a: '' }, true],
    ['n>5', { n: '6' }, true],
    ['n<5', { n: '6' }, false],
    ['app.kubernetes.io/name=x', { 'app.kubernetes.io/name': 'x' }, true],
    ['constructor', {}, false],
  ];
  for (const [text, labels, isMatch] of table) assert.equal(matchesLabels(parseLabelSelector(text), labels), isMatch, `${text} on ${JSON.stringify(labels)}`);
});

test('parseLabelSelector() refuses what it cannot read', () => {
  for (const text of ['=b', 'a in b', 'a in (b', 'a=b,', 'a b', 'a>x', '-a', 'a==b==c']) assert.throws(() => parseLabelSelector(text), (error) => isError(error, 'invalid'), text);
});

test('formatLabelSelector() writes what parseLabelSelector() reads', () => {
  for (const text of ['a=b', 'a!=b', 'a in (b,c)', 'a notin (b,c)', 'a', '!a', 'n>5', 'a=b,c,!d']) assert.equal(formatLabelSelector(parseLabelSelector(text)), text);
});

test('selectorMatches() follows a LabelSelector', () => {
  const selector = { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['db'] }, { key: 'old', operator: 'DoesNotExist' }] };
  assert.equal(selectorMatches(selector, { app: 'web', tier: 'front' }), true);
  assert.equal(selectorMatches(selector, { app: 'web', tier: 'db' }), false);
  assert.equal(selectorMatches(selector, { app: 'web', old: 'yes' }), false);
  assert.equal(selectorMatches({}, { any: 'thing' }), true);
  assert.equal(selectorMatches(undefined, {}), false);
  assert.throws(() => requirementsOf({ matchExpressions: [{ key: 'a', operator: 'Near' }] }), (error) => isError(error, 'invalid'));
});

test('parseFieldSelector() reads conditions and escapes', () => {
  assert.deepEqual(parseFieldSelector(String.raw`metadata.name=a,status.phase!=Running,x==b\,c`), [
    { field: 'metadata.name', isEqual: true, value: 'a' },
    { field: 'status.phase', isEqual: false, value: 'Running' },
    { field: 'x', isEqual: true, value: 'b,c' },
  ]);
  assert.deepEqual(parseFieldSelector(''), []);
  assert.throws(() => parseFieldSelector('metadata.name'), (error) => isError(error, 'invalid'));
});
