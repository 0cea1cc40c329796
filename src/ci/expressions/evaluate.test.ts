import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../../kernel/mod.ts';
import type { Template } from '../workflow/model.ts';
import { Toolkit } from '../workflow/toolkit.ts';
import type { StatusSoFar } from './contexts.ts';
import { Evaluation } from './evaluate.ts';

const toolkit = await Toolkit.load();
const place = { file: 'ci.yml', line: 3, column: 7 };
const expression = (text: string): Template => ({ kind: 'expression', expression: text, place });
const contexts = { github: { sha: 'abc', event: { n: 3 } }, needs: { a: { result: 'success', outputs: { v: '1' } } }, matrix: { list: [1, 'b'] }, env: { EMPTY: '', NO: 'false' } };

test('Evaluation.text() gives what GitHub prints', () => {
  const evaluation = new Evaluation(toolkit, contexts);
  const cases: [text: string, expected: string][] = [
    ['github.sha', 'abc'],
    ['github.missing', ''],
    ['steps.none.outputs.x', ''],
    ['secrets.TOKEN', ''],
    ["needs.a.outputs.v == 1 && 'yes' || 'no'", 'yes'],
    ['github.event.n * 1', ''],
    ["format('{0}-{1}', github.sha, needs.a.outputs['v'])", 'abc-1'],
    ['true', 'true'],
    ['null', ''],
    ['1.5', '1.5'],
    ["join(matrix.list, ',')", '1,b'],
    ['matrix.list', '[1,"b"]'],
    ["contains('Hello', 'ELL')", 'true'],
  ];
  for (const [text, expected] of cases) {
    if (text.includes('*')) assert.throws(() => evaluation.text(expression(text)), (error) => isError(error, 'invalid') && error.message.startsWith('ci.yml:3:7: '));
    else assert.equal(evaluation.text(expression(text)).replaceAll(/\s/g, ''), expected, text);
  }
  assert.equal(evaluation.text({ kind: 'text', text: 'as it is', place }), 'as it is');
});

test('Evaluation.condition() asks success() unless a status function is there', () => {
  const cases: [text: string | undefined, status: StatusSoFar, expected: boolean][] = [
    [undefined, 'success', true],
    [undefined, 'failure', false],
    ['true', 'failure', false],
    ['always()', 'cancelled', true],
    ['failure()', 'failure', true],
    ['failure()', 'success', false],
    ['cancelled()', 'cancelled', true],
    ['!cancelled()', 'failure', true],
    ["github.sha == 'abc' && failure()", 'failure', true],
    ["github.sha == 'x' || success()", 'failure', false],
    ["'false'", 'success', true],
    ['env.EMPTY', 'success', false],
    ['env.NO', 'success', true],
    ['0', 'success', false],
    ['matrix.list', 'success', true],
  ];
  for (const [text, status, expected] of cases) {
    assert.equal(new Evaluation(toolkit, contexts, status).condition(text === undefined ? undefined : expression(text)), expected, `${text} ${status}`);
  }
});

test('Evaluation.boolean() and number() name the place of what they cannot read', () => {
  const evaluation = new Evaluation(toolkit, contexts);
  assert.equal(evaluation.boolean(expression('!github.sha'), true), false);
  assert.equal(evaluation.number(expression('github.event.n'), 1), 3);
  assert.throws(() => evaluation.boolean(expression('github.sha'), true), /ci.yml:3:7: expected true or false, got "abc"/);
  assert.throws(() => evaluation.number(expression('github.sha'), 1), /ci.yml:3:7: expected a number above 0/);
});
