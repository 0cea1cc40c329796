import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { errnoOf } from './errors.ts';
import { openPortPair, type PortPair } from './port-pair.ts';

const close = ({ udp, tcp }: PortPair): Promise<unknown> =>
  Promise.all([new Promise<void>((resolve) => void udp.close(() => resolve())), new Promise<void>((resolve) => void tcp.close(() => resolve()))]);

test('openPortPair() finds ports that are free for both protocols when many are taken in one', async () => {
  // Taken in one protocol each, so that a choice made for the other one alone often meets a taken port.
  const taken = Array.from({ length: 400 }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(taken.map((server) => (server.listening ? undefined : once(server, 'listening'))));
  const pairs = await Promise.all(Array.from({ length: 100 }, () => openPortPair('127.0.0.1', 0)));
  assert.equal(new Set(pairs.map(({ port }) => port)).size, 100);
  assert.ok(pairs.every(({ udp, tcp, port }) => udp.address().port === port && (tcp.address() as { port: number }).port === port));
  await Promise.all(pairs.map(close));
  for (const server of taken) server.close();
});

test('openPortPair() fails when the port is in use in either protocol, and keeps neither', async () => {
  const free = await openPortPair('127.0.0.1', 0);
  const { port } = free;
  await assert.rejects(openPortPair('127.0.0.1', port), (error) => errnoOf(error) === 'EADDRINUSE');
  await close(free);
  const other = createServer().listen(port, '127.0.0.1');
  await once(other, 'listening');
  await assert.rejects(openPortPair('127.0.0.1', port), (error) => errnoOf(error) === 'EADDRINUSE');
  const udp = createSocket('udp4').bind(port, '127.0.0.1');
  await once(udp, 'listening');
  udp.close();
  other.close();
});
