import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../kernel/mod.ts';
import { decodeRemoteFrame, encodeRemoteClose, encodeRemoteData, encodeRemoteResult, encodeTerminalSize, parseRemoteResult, parseTerminalSize, type RemoteResult } from './remote-command.ts';

test('decodeRemoteFrame() reads what the encoders write', () => {
  assert.deepEqual(decodeRemoteFrame(encodeRemoteData('stdout', Buffer.from('hi'))), { type: 'data', channel: 'stdout', payload: Buffer.from('hi') });
  assert.deepEqual(decodeRemoteFrame(encodeRemoteData('stdin', Buffer.alloc(0))), { type: 'data', channel: 'stdin', payload: Buffer.alloc(0) });
  assert.deepEqual(decodeRemoteFrame(encodeRemoteClose('stdin')), { type: 'close', channel: 'stdin' });
  assert.deepEqual([...encodeRemoteClose('stdin')], [255, 0]);
});

test('decodeRemoteFrame() refuses empty messages and unknown channels', () => {
  for (const bytes of [[], [9, 1], [255], [255, 77]]) {
    assert.throws(() => decodeRemoteFrame(Uint8Array.from(bytes)), (error) => isError(error, 'invalid'), JSON.stringify(bytes));
  }
});

test('parseRemoteResult() reads exit codes and errors', () => {
  const results: RemoteResult[] = [{ exitCode: 0 }, { exitCode: 42 }, { exitCode: 255 }, { error: 'no such container' }];
  for (const result of results) {
    const frame = decodeRemoteFrame(encodeRemoteResult(result));
    assert.equal(frame.channel, 'error');
    assert.deepEqual(frame.type === 'data' && parseRemoteResult(frame.payload), result);
  }
  assert.throws(() => parseRemoteResult(Buffer.from('oops')), (error) => isError(error, 'invalid'));
});

test('parseTerminalSize() reads sizes and refuses others', () => {
  const frame = decodeRemoteFrame(encodeTerminalSize({ width: 80, height: 24 }));
  assert.deepEqual(frame.type === 'data' && parseTerminalSize(frame.payload), { width: 80, height: 24 });
  for (const text of ['{}', '{"Width":0,"Height":1}', '{"Width":"80","Height":24}', 'null']) {
    assert.throws(() => parseTerminalSize(Buffer.from(text)), (error) => isError(error, 'invalid'), text);
  }
});
