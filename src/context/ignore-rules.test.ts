import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assert as check, constantFrom, property, string } from 'fast-check';
import { isError } from '../kernel/mod.ts';
import { parseIgnoreFile } from './ignore-rules.ts';

const cases: readonly (readonly [file: string, path: string, isIgnored: boolean])[] = [
  ['*.md', 'README.md', true],
  ['*.md', 'docs/README.md', false],
  ['**/*.md', 'docs/README.md', true],
  ['**/*.md', 'README.md', true],
  ['**', 'a/b', true],
  ['node_modules', 'node_modules/x/y.js', true],
  ['node_modules', 'app/node_modules/x', false],
  ['**/node_modules', 'app/node_modules/x', true],
  ['/node_modules/', 'node_modules/x', true],
  ['./a', 'a', true],
  ['a/../b', 'b', true],
  ['a?c', 'abc', true],
  ['a?c', 'a/c', false],
  ['[a-c].txt', 'b.txt', true],
  ['[^a-c].txt', 'b.txt', false],
  ['[^a-c].txt', 'd.txt', true],
  ['[a]b', 'ab', true],
  ['a[/]b', 'a/b', false],
  ['\\*.md', '*.md', true],
  ['\\*.md', 'x.md', false],
  ['a/**/b', 'a/b', true],
  ['a/**/b', 'a/x/y/b', true],
  ['a/**', 'a/x', true],
  ['a/**', 'a', false],
  ['a**b', 'axxb', false],
  ['a**b', 'ax/b', true],
  ['*', 'a', true],
  ['*', 'a/b', true],
  ['*\n!keep', 'keep', false],
  ['*\n!keep', 'keep/x', false],
  ['*\n!keep/x', 'keep/x', false],
  ['*\n!keep/x', 'keep/y', true],
  ['!a\na', 'a', true],
  ['*.md\n!README*.md\nREADME-secret.md', 'README-secret.md', true],
  ['*.md\n!README*.md\nREADME-secret.md', 'README-public.md', false],
  ['# *\nb', 'a', false],
  [' # a', '# a', true],
  ['\uFEFFa', 'a', true],
  ['a\r\nb', 'a', true],
  ['(a|b)', 'a', false],
  ['(a|b)', '(a|b)', true],
  ['a.b', 'axb', false],
  ['a+$^{}', 'a+$^{}', true],
  ['.', '.git', false],
  ['.git', '.gitignore', false],
];

for (const [file, path, expected] of cases) {
  test(`IgnoreRules.isIgnored() ${expected ? 'leaves out' : 'keeps'} ${path} under ${JSON.stringify(file)}`, () => {
    assert.equal(parseIgnoreFile(file, '.dockerignore').isIgnored(path), expected);
  });
}

for (const file of ['[', 'a\n[a-', 'x\\', '!', '[]a]']) {
  test(`parseIgnoreFile() refuses ${JSON.stringify(file)} with its line`, () => {
    assert.throws(() => parseIgnoreFile(file, '.dockerignore'), (error) => isError(error, 'invalid') && /^\.dockerignore:\d+: /.test(error.message));
  });
}

test('parseIgnoreFile() accepts or refuses any text, and what it accepts answers for any path', () => {
  const pattern = string({ unit: constantFrom(...'*?[]^-\\/!#ab.\n '.split('')), maxLength: 16 });
  check(
    property(pattern, string({ unit: constantFrom('a', 'b', '/', '.'), maxLength: 8 }), (text, path) => {
      try {
        parseIgnoreFile(text, '.dockerignore').isIgnored(path);
      } catch (error) {
        assert.ok(isError(error, 'invalid'), String(error));
      }
    }),
    { numRuns: 500 },
  );
});
