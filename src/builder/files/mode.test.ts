import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyMode, checkMode } from './mode.ts';

const applied: readonly (readonly [text: string, mode: number, isFolder: boolean, expected: number])[] = [
  ['755', 0o644, false, 0o755],
  ['0640', 0o777, false, 0o640],
  ['4755', 0o644, false, 0o4755],
  ['u+x', 0o644, false, 0o744],
  ['+x', 0o644, false, 0o755],
  ['a-w', 0o666, false, 0o444],
  ['go=', 0o755, false, 0o700],
  ['u=rw,go=r', 0o777, false, 0o644],
  ['u=rwX,go=rX', 0o644, false, 0o644],
  ['u=rwX,go=rX', 0o644, true, 0o755],
  ['u=rwX,go=rX', 0o744, false, 0o755],
  ['g=u', 0o640, false, 0o660],
  ['o=g-w', 0o660, false, 0o664],
  ['u+s', 0o755, false, 0o4755],
  ['g+s', 0o755, true, 0o2755],
  ['+t', 0o777, true, 0o1777],
  ['u-s', 0o4755, false, 0o755],
];

for (const [text, mode, isFolder, expected] of applied) {
  test(`applyMode() makes ${expected.toString(8)} of ${mode.toString(8)}${isFolder ? ' (folder)' : ''} with ${text}`, () => assert.equal(applyMode(text, mode, isFolder).toString(8), expected.toString(8)));
}

test('checkMode() accepts what chmod(1) takes and says what is wrong with the rest', () => {
  for (const [text] of applied) assert.equal(checkMode(text), undefined, text);
  for (const text of ['888', '17777', 'x', 'u', 'u+q', 'u=rw,', '', 'z+x']) assert.match(checkMode(text) ?? '', /^invalid mode/, text);
});
