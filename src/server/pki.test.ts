import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { certificateRequests, ensurePki, isCurrent } from './pki.ts';

const names = { nodeName: 'node-1', apiServiceIp: '10.96.0.1', clusterDomain: 'cluster.local' };
const day = 86_400_000;

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-pki-'));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test('ensurePki() makes files that only the owner reads, once', () =>
  withFolder(async (folder) => {
    const pki = await ensurePki(folder, names);
    for (const name of await readdir(folder)) assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600, name);
    assert.deepEqual(await ensurePki(folder, names), pki);
    const server = new X509Certificate(pki.server.cert);
    assert.ok(['127.0.0.1', '10.96.0.1'].every((ip) => server.checkIP(ip) !== undefined));
    assert.ok(['localhost', 'kubernetes.default.svc'].every((host) => server.checkHost(host) !== undefined));
    assert.equal(new X509Certificate(pki.agent.cert).subject, 'O=system:nodes\nCN=system:node:node-1');
    assert.equal(new X509Certificate(pki.admin.cert).subject, 'O=system:masters\nCN=admin');
    for (const [name, request] of Object.entries(certificateRequests(names))) assert.ok(isCurrent(pki[name as 'server'], request, pki.ca, Date.now()), name);
  }));

test('ensurePki() makes new leaves before they expire and when their names change, and keeps the authority', () =>
  withFolder(async (folder) => {
    const pki = await ensurePki(folder, names);
    const moved = await ensurePki(folder, { ...names, apiServiceIp: '10.97.0.1' });
    assert.notEqual(moved.server.cert, pki.server.cert);
    assert.deepEqual([moved.ca, moved.admin], [pki.ca, pki.admin]);
    const later = await ensurePki(folder, { ...names, apiServiceIp: '10.97.0.1' }, Date.now() + 330 * day);
    assert.notEqual(later.admin.cert, pki.admin.cert);
    assert.deepEqual(later.ca, pki.ca);
    const muchLater = await ensurePki(folder, names, Date.now() + 3500 * day);
    assert.notEqual(muchLater.ca.cert, pki.ca.cert);
    assert.ok(new X509Certificate(muchLater.server.cert).verify(new X509Certificate(muchLater.ca.cert).publicKey));
  }));

test('ensurePki() gives certificates with which TLS clients and servers know each other', () =>
  withFolder(async (folder) => {
    const pki = await ensurePki(folder, names);
    const server = createServer({ ...pki.server, ca: pki.ca.cert, requestCert: true, rejectUnauthorized: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
    const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', ca: pki.ca.cert, ...pki.agent });
    await once(client, 'secureConnect');
    const [socket] = await accepted;
    assert.equal(socket.getPeerCertificate().subject.CN, 'system:node:node-1');
    client.destroy();
    socket.destroy();
    server.close();
  }));
