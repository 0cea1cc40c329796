import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { connect } from 'node:net';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { openPortPair, silentLogger } from '../../kernel/mod.ts';
import { addressOfReverseName, encodeAnswer, parseQuestion } from './dns-message.ts';
import { NameServer } from './name-server.ts';

const query = (name: string, type: number): Buffer => {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)]);
  return Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, type, 0, 1]);
};

test('parseQuestion() reads a query and refuses everything else without throwing', () => {
  assert.deepEqual(parseQuestion(query('Web.Net', 28)), { id: 0x1234, name: 'web.net', type: 28, isClassIn: true, end: 25 });
  assert.equal(parseQuestion(query('web', 1).subarray(0, 15)), undefined);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void parseQuestion(Buffer.from(bytes))));
});

test('encodeAnswer() repeats the question and points to its name', () => {
  const bytes = query('web', 1);
  const question = parseQuestion(bytes);
  assert.ok(question);
  const answer = encodeAnswer(bytes, question, { code: 0, addresses: ['10.0.0.2'] });
  assert.equal(answer.toString('hex'), '123485800001000100000000037765620000010001c00c000100010000000500040a000002');
  assert.equal(addressOfReverseName('2.0.0.10.in-addr.arpa'), '10.0.0.2');
});

test('NameServer answers by UDP and TCP, knows what does not exist, and tells nobody else', async () => {
  const source = {
    addressesOf: (name: string, askerId: string) => (name === 'web' && askerId === 'asker' ? { ipv4: ['10.0.0.2', '10.0.0.3'], ipv6: ['fd00::2'] } : undefined),
    nameOf: (address: string) => (address === '10.0.0.2' || address === 'fd00::2' ? 'web.net' : undefined),
    upstreams: () => [],
  };
  const sockets = await openPortPair('127.0.0.1', 0);
  await using server = new NameServer(sockets, 'asker', source, silentLogger());
  assert.equal(server.port, sockets.port);
  const resolver = new Resolver();
  resolver.setServers([`127.0.0.1:${server.port}`]);
  assert.deepEqual(await resolver.resolve4('web'), ['10.0.0.2', '10.0.0.3']);
  assert.deepEqual(await resolver.reverse('10.0.0.2'), ['web.net']);
  assert.deepEqual(await resolver.resolve6('web'), ['fd00::2']);
  assert.deepEqual(await resolver.reverse('fd00::2'), ['web.net']);
  await assert.rejects(resolver.resolveTxt('web'), { code: 'ENODATA' });
  await assert.rejects(resolver.resolve4('other'), { code: 'ENOTFOUND' });
  await assert.rejects(resolver.resolve4('other.example'), { code: 'ENOTFOUND' });
  const bytes = query('web', 1);
  const answer = await new Promise<Buffer>((resolve, reject) => {
    // In two pieces, as TCP may cut it.
    const socket = connect(server.port, '127.0.0.1', () => {
      socket.write(Buffer.from([0, bytes.length, ...bytes.subarray(0, 4)]));
      setImmediate(() => socket.write(bytes.subarray(4)));
    });
    socket.once('data', (data: Buffer) => (socket.destroy(), resolve(data)));
    socket.once('error', reject);
  });
  assert.equal(answer.readUInt16BE(0), answer.length - 2);
  assert.equal(answer.readUInt16BE(8), 2);
});
