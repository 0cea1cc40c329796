import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isError } from '../kernel/mod.ts';
import { DockerFrameDecoder, type DockerStream, encodeDockerFrame } from './docker-stream.ts';

test('encodeDockerFrame() writes stream, length and content', () => {
  assert.deepEqual(encodeDockerFrame('stderr', Buffer.from('ab')), Buffer.from([2, 0, 0, 0, 0, 0, 0, 2, 0x61, 0x62]));
  assert.deepEqual(encodeDockerFrame('stdout', Buffer.alloc(0)), Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]));
});

test('DockerFrameDecoder gives back any frames in any chunks', () => {
  const frame = fc.tuple(fc.constantFrom<DockerStream>('stdin', 'stdout', 'stderr', 'systemerr'), fc.uint8Array({ maxLength: 300 }));
  fc.assert(
    fc.property(fc.array(frame), fc.integer({ min: 1, max: 400 }), (frames, chunkBytes) => {
      const bytes = Buffer.concat(frames.map(([stream, content]) => encodeDockerFrame(stream, content)));
      const decoder = new DockerFrameDecoder();
      const decoded: [DockerStream, Uint8Array][] = [];
      for (let at = 0; at < bytes.length; at += chunkBytes) {
        for (const { stream, content } of decoder.push(bytes.subarray(at, at + chunkBytes))) decoded.push([stream, new Uint8Array(content)]);
      }
      assert.deepEqual([decoded, decoder.pendingBytes], [frames.map(([stream, content]) => [stream, new Uint8Array(content)]), 0]);
    }),
  );
});

test('DockerFrameDecoder refuses what is no frame', () => {
  for (const bytes of [[9, 0, 0, 0, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0xff, 0, 0, 0]]) {
    assert.throws(() => new DockerFrameDecoder().push(Buffer.from(bytes)), (error) => isError(error, 'invalid'));
  }
});
