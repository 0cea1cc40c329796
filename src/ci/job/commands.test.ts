import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReservedVariable, parseCommandFile } from './command-files.ts';
import { LineWriter } from './line-writer.ts';
import { Masker } from './masker.ts';
import { parseCollected } from './step-script.ts';
import { parseWorkflowCommand } from './workflow-commands.ts';

test('parseCommandFile() reads lines and blocks, and names the line of a mistake', () => {
  assert.deepEqual(parseCommandFile('a=1\nb=x=y\n\nc<<EOF\nl1\n\nl2\nEOF\nd=\n', 'f'), [['a', '1'], ['b', 'x=y'], ['c', 'l1\n\nl2'], ['d', '']]);
  assert.deepEqual(parseCommandFile('a=b<<c\r\n', 'f'), [['a', 'b<<c']]);
  assert.throws(() => parseCommandFile('a=1\nb<<EOF\nx', 'f'), /f, line 2: the block is not closed/);
  assert.throws(() => parseCommandFile('nothing', 'f'), /f, line 1: expected name=value/);
  for (const name of ['GITHUB_SHA', 'RUNNER_TEMP', 'NODE_OPTIONS', 'a-b', '1a', '']) assert.equal(isReservedVariable(name), true, name);
  assert.equal(isReservedVariable('PATH_X'), false);
});

test('parseWorkflowCommand() takes commands apart and leaves other lines alone', () => {
  const cases: [line: string, expected: unknown][] = [
    ['::error file=a.js,line=1,title=T%2C x::msg: a::b', { name: 'error', properties: { file: 'a.js', line: '1', title: 'T, x' }, data: 'msg: a::b' }],
    ['::add-mask::a%25b', { name: 'add-mask', properties: {}, data: 'a%b' }],
    ['  ::endgroup::', { name: 'endgroup', properties: {}, data: '' }],
    ['echo ::error::x', undefined],
    ['::', undefined],
    ['std::vector::size', undefined],
  ];
  for (const [line, expected] of cases) assert.deepEqual(parseWorkflowCommand(line), expected, line);
});

test('Masker hides every line of a secret, the longest first', () => {
  const masker = new Masker();
  masker.add('token');
  masker.add('token-and-more\nsecond (line)\nab');
  assert.equal(masker.mask('token-and-more token second (line) ab'), '*** *** *** ab');
});

test('LineWriter cuts lines across chunks and characters', async () => {
  const lines: string[] = [];
  const writer = new LineWriter(async (line) => void lines.push(line));
  const bytes = Buffer.from('one\r\ntwö\nlast');
  for (const byte of bytes) writer.write(Buffer.from([byte]));
  await new Promise<void>((resolve) => void writer.end(resolve));
  assert.deepEqual(lines, ['one', 'twö', 'last']);
});

test('parseCollected() reads files by their size, whatever is in them', () => {
  const output = Buffer.from('Terminated\n\nMARK\noutput 4 /t/output\na=1\n\nreport 12 /w/a b.xml\nreport 3 x\ny\nenv 0 /t/env\n\n');
  assert.deepEqual(parseCollected(output, 'MARK'), [
    { kind: 'output', path: '/t/output', text: 'a=1\n' },
    { kind: 'report', path: '/w/a b.xml', text: 'report 3 x\ny' },
    { kind: 'env', path: '/t/env', text: '' },
  ]);
  assert.deepEqual(parseCollected(Buffer.from('output 1 /t/output\nx\n'), 'MARK'), []);
});
