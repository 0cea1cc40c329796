import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isError } from '../../kernel/mod.ts';
import { DockerFrameDecoder, encodeDockerFrame } from '../../wire/mod.ts';
import { parseFilters } from './filters.ts';

const stream = fc.constantFrom('stdin' as const, 'stdout' as const, 'stderr' as const, 'systemerr' as const);

/** The bytes in the pieces that the cuts make. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return edges.slice(1).map((end, index) => bytes.subarray(edges[index], end));
}

test('multiplexed frames are the same wherever the bytes are cut, also within a header', () => {
  fc.assert(fc.property(fc.array(fc.tuple(stream, fc.uint8Array({ maxLength: 40 })), { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 20 }), (frames, cuts) => {
    const decoder = new DockerFrameDecoder();
    const decoded = pieces(Buffer.concat(frames.map(([name, content]) => encodeDockerFrame(name, content))), cuts).flatMap((piece) => decoder.push(piece)).map((frame) => [frame.stream, [...frame.content]]);
    assert.deepEqual([decoded, decoder.pendingBytes], [frames.map(([name, content]) => [name, [...content]]), 0]);
  }));
});

test('hostile bytes are frames or an error, and never more is kept than one frame may have', () => {
  const maxFrameBytes = 64;
  const header = fc.tuple(fc.nat(5), fc.nat(1), fc.oneof(fc.nat(100), fc.nat(0xffff_ffff))).map(([kind, padding, length]) => {
    const bytes = Buffer.alloc(8);
    bytes.set([kind, padding, 0, 0]);
    bytes.writeUInt32BE(length, 4);
    return bytes;
  });
  const hostile = fc.array(fc.oneof(header, fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes))), { maxLength: 8 });
  fc.assert(fc.property(hostile, fc.array(fc.nat(), { maxLength: 20 }), (parts, cuts) => {
    const decoder = new DockerFrameDecoder(maxFrameBytes);
    for (const piece of pieces(Buffer.concat(parts), cuts)) {
      try {
        for (const { content } of decoder.push(piece)) assert.ok(content.length <= maxFrameBytes);
      } catch (error) {
        assert.ok(isError(error, 'invalid'), String(error));
        return;
      }
      assert.ok(decoder.pendingBytes < maxFrameBytes + 8);
    }
  }));
});

test('filters mean the same in both shapes, and whatever is neither is an error', () => {
  const values = fc.uniqueArray(fc.string().filter((text) => text !== '__proto__'), { maxLength: 5 });
  const filters = fc.dictionary(fc.constantFrom('label', 'name', 'status'), values);
  fc.assert(fc.property(filters, (wanted) => {
    const asMap = Object.fromEntries(Object.entries(wanted).map(([name, list]) => [name, Object.fromEntries(list.map((value) => [value, true]))]));
    const known = ['label', 'name', 'status'];
    const sorted = (text: string): unknown => [...parseFilters(text, known)].map(([name, list]) => [name, list.toSorted()]);
    assert.deepEqual(sorted(JSON.stringify(asMap)), sorted(JSON.stringify(wanted)));
  }));
  const malformed = fc.oneof(fc.json(), fc.string(), fc.json().map((text) => `{"label":${text}}`), fc.json().map((text) => `{"label":[${text}]}`));
  fc.assert(fc.property(malformed, (text) => {
    try {
      for (const [name, list] of parseFilters(text, ['label'])) assert.ok(name === 'label' && list.every((value) => typeof value === 'string'));
    } catch (error) {
      assert.ok(isError(error, 'invalid'), String(error));
    }
  }));
});
