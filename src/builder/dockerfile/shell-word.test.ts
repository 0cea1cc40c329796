import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assert as check, constantFrom, property, string } from 'fast-check';
import { isError } from '../../kernel/mod.ts';
import { expandShellWord } from './shell-word.ts';

const variables = new Map([
  ['A', 'hello'],
  ['EMPTY', ''],
  ['FILE', 'archive.tar.gz'],
  ['SPACED', 'a b  c'],
  ['PATHS', '/usr/local/bin'],
  ['A_B1', 'x'],
]);
const expand = (text: string): string => expandShellWord(text, (name) => variables.get(name), { escape: '\\' }).text;

const cases: readonly (readonly [text: string, expected: string])[] = [
  ['$A', 'hello'],
  ['${A}', 'hello'],
  ['x${A}y', 'xhelloy'],
  ['$A_B1', 'x'],
  ['$MISSING.', '.'],
  ['$', '$'],
  ['a$', 'a$'],
  ['$-x', 'x'],
  ['$1x', 'x'],
  ['\\$A', '$A'],
  ["'$A'", '$A'],
  ['"$A"', 'hello'],
  ['"\\$A"', '$A'],
  ['"a\\b"', 'a\\b'],
  ['"a\\"b"', 'a"b'],
  ['a\\ b', 'a b'],
  ["it''s", 'its'],
  ['${MISSING:-default}', 'default'],
  ['${EMPTY:-default}', 'default'],
  ['${EMPTY-default}', ''],
  ['${MISSING-default}', 'default'],
  ['${A:-default}', 'hello'],
  ['${MISSING:-${A}}', 'hello'],
  ['${MISSING:-"a b"}', 'a b'],
  ['${A:+set}', 'set'],
  ['${EMPTY:+set}', ''],
  ['${EMPTY+set}', 'set'],
  ['${MISSING+set}', ''],
  ['${A:?needed}', 'hello'],
  ['${FILE#*.}', 'tar.gz'],
  ['${FILE##*.}', 'gz'],
  ['${FILE%.*}', 'archive.tar'],
  ['${FILE%%.*}', 'archive'],
  ['${FILE#arch?ve}', '.tar.gz'],
  ['${PATHS/local/LOCAL}', '/usr/LOCAL/bin'],
  ['${PATHS//\\//-}', '-usr-local-bin'],
  ['${FILE/a*e/X}', 'X.tar.gz'],
  ['${A/l/$x}', 'helo'],
  ['${A//l/L}', 'heLLo'],
  ['a<<b', 'a<<b'],
  ['${EMPTY/x/y}', ''],
];

for (const [text, expected] of cases) {
  test(`expandShellWord() makes ${JSON.stringify(expected)} of ${text}`, () => assert.equal(expand(text), expected));
}

const failures: readonly (readonly [text: string, message: RegExp])[] = [
  ['${A', /'\}' is missing/],
  ['${}', /bad substitution/],
  ['${:x}', /bad substitution/],
  ['${A!x}', /unsupported modifier \(!\)/],
  ['${A:#x}', /unsupported modifier \(:#\)/],
  ['${MISSING:?give a value}', /MISSING: give a value/],
  ['${EMPTY:?}', /EMPTY: is not allowed to be empty/],
  ['${MISSING?}', /MISSING: is not allowed to be unset/],
  ["'open", /single quote/],
  ['"open', /double quote/],
  ['${A/x}', /looking for \/|'\/' is missing/],
  ['${A#\\q}', /invalid escape/],
];

for (const [text, message] of failures) {
  test(`expandShellWord() refuses ${text}`, () => assert.throws(() => expand(text), (error) => isError(error, 'invalid') && message.test(error.message)));
}

test('expandShellWord() splits at white space that is not quoted, after expansion', () => {
  const words = (text: string): readonly string[] => expandShellWord(text, (name) => variables.get(name), { escape: '\\' }).words;
  assert.deepEqual(words('8000 $SPACED "$SPACED" x\\ y'), ['8000', 'a', 'b', 'c', 'a b  c', 'x y']);
});

test('expandShellWord() tells which variables are not set', () => {
  assert.deepEqual([...expandShellWord('$A $B ${C:-x}', (name) => variables.get(name), { escape: '\\' }).unset], ['B', 'C']);
});

test('expandShellWord() ends on any text, with a text or an invalid error', () => {
  check(
    property(string({ unit: constantFrom(...'$${}{:+-?#%/\\\'"<A _*`x'.split('')), maxLength: 24 }), (text) => {
      try {
        expandShellWord(text, (name) => variables.get(name), { escape: '\\' });
      } catch (error) {
        assert.ok(isError(error, 'invalid'), String(error));
      }
    }),
  );
});
