import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { isError } from './errors.ts';
import { runCommand } from './process.ts';

const never = new AbortController().signal;

test('runCommand() returns output and exit code', async () => {
  const result = await runCommand('sh', ['-c', 'cat; echo problem >&2; exit 3'], { stdin: 'text', okCodes: [3] }, never);
  assert.deepEqual(result, { code: 3, stdout: 'text', stderr: 'problem\n' });
});

test('runCommand() survives a program that does not read its input', async () => {
  const result = await runCommand('true', [], { stdin: 'x'.repeat(1 << 20) }, never);
  assert.equal(result.code, 0);
});

test('runCommand() reports the failure of its input and ends the program', async () => {
  const broken = new Readable({
    read() {
      this.destroy(new Error('the source broke'));
    },
  });
  await assert.rejects(runCommand('cat', [], { stdin: broken, okCodes: [0, 137] }, never), /the source broke/);
});

test('runCommand() names what went wrong by code', async () => {
  const cases: [string, string[], { maxOutputBytes?: number }, AbortSignal, string][] = [
    ['sh', ['-c', 'echo broken >&2; exit 1'], {}, never, 'internal'],
    ['/no/such/program', [], {}, never, 'unavailable'],
    ['yes', [], { maxOutputBytes: 1000 }, never, 'exhausted'],
    ['sleep', ['60'], {}, AbortSignal.timeout(20), 'timeout'],
    ['sleep', ['60'], {}, AbortSignal.abort(), 'cancelled'],
  ];
  for (const [command, args, options, signal, code] of cases) {
    await assert.rejects(runCommand(command, args, options, signal), (error) => isError(error) && error.code === code, `${command} ${args.join(' ')}`);
  }
});

test('runCommand() does not hand down the environment', async () => {
  process.env['GANTRY_TEST_SECRET'] = 'do not leak';
  const { stdout } = await runCommand('env', [], {}, never);
  delete process.env['GANTRY_TEST_SECRET'];
  assert.equal(stdout.includes('do not leak'), false);
});
