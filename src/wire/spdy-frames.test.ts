import assert from 'node:assert/strict';
import { test } from 'node:test';
import { array, assert as check, integer, property } from 'fast-check';
import { isError } from '../kernel/mod.ts';
import { spdyDictionary } from './spdy-dictionary.ts';
import { encodeSpdyControl, encodeSpdyData, type SpdyFrame, SpdyFrameReader, SpdyHeaderCodec, spdyTypes } from './spdy-frames.ts';

test('spdyDictionary() is the one of the draft', () => {
  let [a, b] = [1, 0];
  const dictionary = spdyDictionary();
  for (const byte of dictionary) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  assert.deepEqual([dictionary.length, (b * 65536 + a).toString(16)], [1423, 'e3c6a7c2']);
});

test('SpdyFrameReader finds the same frames however the bytes are cut', () => {
  const bytes = Buffer.concat([encodeSpdyData(1, Buffer.from('hello'), false), encodeSpdyControl(spdyTypes.ping, 0, Buffer.from([0, 0, 0, 7])), encodeSpdyData(3, Buffer.alloc(0), true)]);
  const frames: SpdyFrame[] = [
    { type: 'data', streamId: 1, isLast: false, data: Buffer.from('hello') },
    { type: 'control', code: spdyTypes.ping, flags: 0, payload: Buffer.from([0, 0, 0, 7]) },
    { type: 'data', streamId: 3, isLast: true, data: Buffer.alloc(0) },
  ];
  check(
    property(array(integer({ min: 0, max: bytes.length }), { maxLength: 6 }), (cuts) => {
      const reader = new SpdyFrameReader();
      const edges = [0, ...cuts.toSorted((x, y) => x - y), bytes.length];
      assert.deepEqual(edges.slice(1).flatMap((end, index) => [...reader.push(bytes.subarray(edges[index], end))]), frames);
    }),
  );
});

test('SpdyFrameReader refuses other versions and huge frames', () => {
  assert.throws(() => [...new SpdyFrameReader().push(Buffer.from([0x80, 2, 0, 1, 0, 0, 0, 0]))], (error) => isError(error, 'invalid'));
  assert.throws(() => [...new SpdyFrameReader().push(Buffer.from([0, 0, 0, 1, 0, 0xff, 0xff, 0xff]))], (error) => isError(error, 'invalid'));
});

test('SpdyHeaderCodec reads what it writes, block after block', async () => {
  using one = new SpdyHeaderCodec();
  using two = new SpdyHeaderCodec();
  for (const headers of [new Map([['streamtype', 'error'], ['port', '80']]), new Map<string, string>(), new Map([['streamtype', 'data'], ['port', '80'], ['requestid', 'é'.repeat(300)]])]) {
    assert.deepEqual(await two.decode(await one.encode(headers)), headers);
  }
  await assert.rejects(two.decode(Buffer.from('no zlib stream')), (error) => isError(error, 'invalid'));
});
