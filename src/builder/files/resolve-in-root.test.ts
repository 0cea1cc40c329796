import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { array, assert as check, constantFrom, property } from 'fast-check';
import { isError } from '../../kernel/mod.ts';
import { resolveInRoot } from './resolve-in-root.ts';

let root: string;

before(() => {
  root = mkdtempSync(join(tmpdir(), 'gantry-root-'));
  mkdirSync(join(root, 'real/deep'), { recursive: true });
  const links: Record<string, string> = { absolute: '/real', relative: 'real/deep', up: '../../../../..', 'real/back': '../relative', loop: 'loop', chain: 'absolute/deep', outside: '/../../etc', dangling: '/not/there' };
  for (const [path, target] of Object.entries(links)) symlinkSync(target, join(root, path));
});

after(() => rmSync(root, { recursive: true }));

const cases: readonly (readonly [path: string, expected: string])[] = [
  ['/', ''],
  ['real/deep', 'real/deep'],
  ['/absolute/deep', 'real/deep'],
  ['relative/x', 'real/deep/x'],
  ['real/back', 'real/deep'],
  ['chain', 'real/deep'],
  ['../../etc/passwd', 'etc/passwd'],
  ['up/etc', 'etc'],
  ['outside/passwd', 'etc/passwd'],
  ['real/../up/real', 'real'],
  ['dangling/x', 'not/there/x'],
  ['none/../real', 'real'],
];

for (const [path, expected] of cases) {
  test(`resolveInRoot() finds ${path} at /${expected}`, () => assert.equal(resolveInRoot(root, path), join(root, expected)));
}

test('resolveInRoot() keeps the last link when asked', () => {
  assert.equal(resolveInRoot(root, 'absolute', { keepsLastLink: true }), join(root, 'absolute'));
  assert.equal(resolveInRoot(root, 'absolute/deep', { keepsLastLink: true }), join(root, 'real/deep'));
});

test('resolveInRoot() refuses endless links', () => {
  assert.throws(() => resolveInRoot(root, 'loop'), (error) => isError(error, 'invalid'));
});

test('resolveInRoot() never leads outside', () => {
  const part = constantFrom('..', '.', 'up', 'outside', 'absolute', 'relative', 'real', 'deep', 'back', 'chain', 'x', '');
  check(property(array(part, { maxLength: 10 }), (parts) => assert.ok(`${resolveInRoot(root, parts.join('/'))}/`.startsWith(`${root}/`))));
});
