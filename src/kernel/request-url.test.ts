import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isError } from './errors.ts';
import { requestUrl } from './request-url.ts';

test('requestUrl() reads path and query of every form of a target', () => {
  const cases: readonly (readonly [target: string | undefined, path: string, query: string])[] = [
    [undefined, '/', ''],
    ['/a/b?c=d&c=e', '/a/b', '?c=d&c=e'],
    ['//name/x?y=1', '//name/x', '?y=1'],
    ['///', '///', ''],
    ['http://example.org/a?b', '/a', '?b'],
  ];
  for (const [target, path, query] of cases) {
    const { pathname, search } = requestUrl(target);
    assert.deepEqual([pathname, search], [path, query], target);
  }
  fc.assert(fc.property(fc.string({ unit: 'binary-ascii' }), (text) => requestUrl(`/${text}`).host === 'gantry.invalid'));
});

test('requestUrl() refuses what is no path', () => {
  for (const target of ['*', '', 'a', 'http://']) assert.throws(() => requestUrl(target), (error) => isError(error, 'invalid'), target);
});
