import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchesBranchPattern } from './branch-pattern.ts';
import { encodePacket, flushPacket, PacketReader } from './hook/pkt-line.ts';
import { checkRepositoryName, isRepositoryName, refNameProblem } from './names.ts';

test('isRepositoryName() takes DNS labels only', () => {
  for (const name of ['shop', 'a', 'my-shop', '0x', 'x'.repeat(63)]) assert.equal(isRepositoryName(name), true, name);
  for (const name of ['', '-h', 'Shop', 'a..b', '.git', 'a/b', 'shop.git', 'a.b', 'a-', 'x'.repeat(64), 'shop\n']) assert.equal(isRepositoryName(name), false, JSON.stringify(name));
  assert.throws(() => checkRepositoryName({ namespace: '..', name: 'shop' }), /invalid namespace/);
});

test('refNameProblem() follows git-check-ref-format and refuses components that look like options', () => {
  for (const ref of ['refs/heads/main', 'refs/heads/feature/x-1', 'refs/tags/v1.0', 'refs/heads/ünïcode', 'refs/heads/a@b']) assert.equal(refNameProblem(ref), undefined, ref);
  const bad = ['HEAD', 'refs/heads/', 'refs/heads//a', 'refs/heads/a..b', 'refs/heads/.a', 'refs/heads/a.lock', 'refs/heads/a.', 'refs/heads/-h', 'refs/heads/a b', 'refs/heads/a~1', 'refs/heads/a^', 'refs/heads/a:b', 'refs/heads/a\u007f', 'refs/heads/a@{1}', 'refs/heads/a\\b', 'refs/heads/a*', `refs/heads/${'x'.repeat(1024)}`];
  for (const ref of bad) assert.notEqual(refNameProblem(ref), undefined, ref);
});

test('matchesBranchPattern() keeps * inside a path component', () => {
  const cases: [pattern: string, branch: string, expected: boolean][] = [
    ['main', 'main', true],
    ['main', 'mainline', false],
    ['release/*', 'release/1', true],
    ['release/*', 'release/1/fix', false],
    ['release/**', 'release/1/fix', true],
    ['v?', 'v1', true],
    ['v?', 'v10', false],
    ['a.b', 'axb', false],
  ];
  for (const [pattern, branch, expected] of cases) assert.equal(matchesBranchPattern(pattern, branch), expected, `${pattern} ${branch}`);
});

test('PacketReader cuts packets however the stream is chunked, and rejects impossible lengths', () => {
  const stream = Buffer.concat([encodePacket('one\n'), flushPacket, encodePacket('two')]);
  for (const size of [1, 3, 5, 100]) {
    const reader = new PacketReader();
    const packets = [];
    for (let at = 0; at < stream.length; at += size) packets.push(...reader.push(stream.subarray(at, at + size)));
    assert.deepEqual(packets.map((packet) => (packet.type === 'data' ? packet.payload.toString() : packet.type)), ['one\n', 'flush', 'two']);
    assert.equal(reader.pendingBytes, 0);
  }
  for (const bad of ['0003', 'zzzz', '-001']) assert.throws(() => new PacketReader().push(Buffer.from(bad)), RangeError);
  assert.throws(() => encodePacket('x'.repeat(65_517)), RangeError);
});
