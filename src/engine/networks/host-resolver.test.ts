import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { rootNeeds } from '../../host/testing/root.ts';
import { randomHex } from '../../kernel/mod.ts';
import type { Engine } from '../engine.ts';
import { busyboxSpec } from '../testing/run-to-end.ts';
import { openTestEngine } from '../testing/test-engine.ts';
import type { ContainerSpec } from '../types.ts';
import { dnsCodes, dnsTypes, encodeAnswer, parseQuestion } from './dns-message.ts';

const signal = AbortSignal.timeout(120_000);

/** A resolver of the host, on loopback: every name has this one address. */
async function openResolver(answer: string): Promise<{ address: string } & AsyncDisposable> {
  const byte = (): number => 1 + (Number.parseInt(randomHex(1), 16) % 254);
  const address = `127.${byte()}.${byte()}.${byte()}`;
  const socket = createSocket('udp4', (query, { port, address: asker }) => {
    const question = parseQuestion(query);
    if (question !== undefined) socket.send(encodeAnswer(query, question, { code: dnsCodes.success, addresses: question.type === dnsTypes.a ? [answer] : [] }), port, asker);
  });
  socket.bind(53, address);
  await once(socket, 'listening');
  return { address, [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void socket.close(() => resolve())) };
}

async function inside(engine: Engine, id: string, script: string): Promise<string> {
  const session = await engine.containers.exec(id, { args: ['sh', '-c', script], env: [], workingDir: '', user: '', tty: false, stdin: false, isPrivileged: false }, signal);
  session.stderr?.resume();
  const [said] = await Promise.all([text(session.stdout), session.exit]);
  return said;
}

async function start(engine: Engine, change: Partial<ContainerSpec> = {}): Promise<string> {
  const { id } = await engine.containers.create(busyboxSpec('', { args: ['sleep', '600'], ...change }), signal);
  await engine.containers.start(id, signal);
  return id;
}

test('a change of the host’s resolvers reaches user networks at once and the default network with the next start', { skip: rootNeeds('runc', 'conmon', 'nft', 'busybox') }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-resolver-'));
  const resolverFile = join(folder, 'resolv.conf');
  /** As resolvconf and NetworkManager do it. */
  const setHost = (content: string): void => {
    writeFileSync(`${resolverFile}.new`, content);
    renameSync(`${resolverFile}.new`, resolverFile);
  };
  try {
    await using first = await openResolver('192.0.2.1');
    await using second = await openResolver('192.0.2.2');
    setHost(`nameserver ${first.address}\nnameserver 203.0.113.1\nsearch one.test\n`);
    await using opened = await openTestEngine(undefined, { resolverFile });
    const { engine } = opened;
    await engine.networks.create({ name: 'user', isInternal: false, labels: {}, options: {} }, signal);
    const network = { mode: 'bridge' as const, endpoints: [{ network: 'user', aliases: [] }] };
    const [named, plain, joining, writing] = await Promise.all([start(engine, { network }), start(engine), start(engine), start(engine)]);
    const resolver = (id: string): Promise<string> => inside(engine, id, 'cat /etc/resolv.conf');
    const lookUp = (id: string): Promise<string> => inside(engine, id, 'nslookup name.example | grep -o "192[.]0[.]2[.][0-9]*" | sort -u');
    assert.deepEqual([await resolver(named), await lookUp(named)], ['nameserver 127.0.0.11\nsearch one.test\noptions ndots:0\n', '192.0.2.1\n']);
    // The host's loopback is not the container's.
    assert.equal(await resolver(plain), 'nameserver 203.0.113.1\nsearch one.test\n');

    setHost(`nameserver ${second.address}\nnameserver 203.0.113.2\nsearch two.test\n`);
    assert.equal(await lookUp(named), '192.0.2.2\n');
    assert.equal(await resolver(plain), 'nameserver 203.0.113.1\nsearch one.test\n');
    await engine.containers.restart(plain, { timeoutSeconds: 0 }, signal);
    assert.equal(await resolver(plain), 'nameserver 203.0.113.2\nsearch two.test\n');
    // Its file is of the old host, and the engine's all the same: it gets the network's name server. What a container wrote stays.
    await inside(engine, writing, 'echo "nameserver 203.0.113.9" > /etc/resolv.conf');
    for (const id of [joining, writing]) await engine.networks.connect('user', id, { aliases: [] }, signal);
    assert.deepEqual([await resolver(joining), await lookUp(joining), await resolver(writing)], ['nameserver 127.0.0.11\nsearch two.test\noptions ndots:0\n', '192.0.2.2\n', 'nameserver 203.0.113.9\n']);

    rmSync(resolverFile);
    assert.equal(await lookUp(named), '');
    const without = await start(engine);
    assert.equal(await resolver(without), '');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
