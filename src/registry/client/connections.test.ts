import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import { createServer, type ServerOptions } from 'node:https';
import { type AddressInfo, createServer as createNetServer, type Server as NetServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { mediaTypes, parseImageReference } from '../../api/mod.ts';
import { makeTestTls } from '../../cluster/node/testing/test-tls.ts';
import { isError, retry } from '../../kernel/mod.ts';
import { openRegistryClient } from './client.ts';

const signal = new AbortController().signal;
const manifest = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: { mediaType: mediaTypes.ociConfig, digest: `sha256:${'a'.repeat(64)}`, size: 1 }, layers: [] });
const code = (expected: string) => (error: unknown) => isError(error) && error.code === expected;

interface Listening extends AsyncDisposable { readonly host: string }

async function listening(server: NetServer & Pick<Server, 'closeAllConnections'>): Promise<Listening> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

const answer = (request: IncomingMessage, response: { writeHead(status: number, headers?: Record<string, string>): { end(text?: string): void } }): void => {
  if (request.url === '/v2/') response.writeHead(200).end('{}');
  else response.writeHead(200, { 'content-type': mediaTypes.ociManifest }).end(manifest);
};

function tlsRegistry(options: ServerOptions, onRequest: (request: IncomingMessage) => void = () => undefined): Promise<Listening> {
  return listening(createServer(options, (request, response) => {
    onRequest(request);
    answer(request, response);
  }));
}

test('an insecure registry is spoken to by TLS without checks where it has TLS, else by plain HTTP', async () => {
  const { serving } = makeTestTls('registry');
  await using withTls = await tlsRegistry(serving);
  await using plain = await listening(createHttpServer(answer));
  await using client = openRegistryClient();
  await using strict = openRegistryClient({ tls: [withTls.host] });
  const fetch = (host: string, by = client) => by.fetchManifest(parseImageReference(`${host}/app:1`), undefined, signal);
  for (const { host } of [withTls, plain, withTls, plain]) assert.equal((await fetch(host)).mediaType, mediaTypes.ociManifest);
  await assert.rejects(fetch(withTls.host, strict), (error) => isError(error, 'unavailable') && /certificate|SELF_SIGNED|UNABLE_TO_VERIFY/i.test(error.message));
});

test('an insecure registry that begins to speak TLS is asked anew', async () => {
  const plain = createHttpServer(answer);
  const withTls = createServer(makeTestTls('registry').serving, answer);
  // One port throughout: connections are handed to the server that is in charge.
  let inCharge: NetServer = plain;
  const open = new Set<Socket>();
  const front = createNetServer((socket) => {
    open.add(socket);
    socket.on('error', () => undefined);
    inCharge.emit('connection', socket);
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  try {
    await using client = openRegistryClient();
    const reference = parseImageReference(`127.0.0.1:${(front.address() as AddressInfo).port}/app:1`);
    await client.fetchManifest(reference, undefined, signal);
    inCharge = withTls;
    for (const socket of open) socket.destroy();
    // The first attempts may find that plain HTTP no longer is answered.
    const fetched = await retry((own) => client.fetchManifest(reference, undefined, own), { attempts: 5, backoff: { initialMs: 10, factor: 2, maxMs: 100, jitter: 0 }, isRetryable: () => true }, signal);
    assert.equal(fetched.mediaType, mediaTypes.ociManifest);
  } finally {
    front.close();
    for (const socket of open) socket.destroy();
  }
});

test('certificates of a registry are those of its folder, and may come later', async () => {
  const { ca, serving, client: pair } = makeTestTls('registry');
  const seen: string[] = [];
  await using registry = await tlsRegistry({ ...serving, ca: ca.cert, requestCert: true, rejectUnauthorized: false }, (request) => {
    const socket = request.socket as TLSSocket;
    seen.push(socket.authorized ? String(socket.getPeerCertificate().subject.CN) : 'nobody');
  });
  const folder = mkdtempSync(join(tmpdir(), 'gantry-certs-'));
  try {
    await using client = openRegistryClient({ tls: [registry.host], certificatesFolder: folder });
    const fetch = () => client.fetchManifest(parseImageReference(`${registry.host}/app:1`), undefined, signal);
    await assert.rejects(fetch(), code('unavailable'));
    const own = join(folder, registry.host);
    mkdirSync(own);
    writeFileSync(join(own, 'ca.crt'), ca.cert);
    await fetch();
    writeFileSync(join(own, 'client.cert'), pair.cert);
    await assert.rejects(fetch(), (error) => isError(error, 'invalid') && error.message.includes('client.key is missing'));
    writeFileSync(join(own, 'client.key'), pair.key);
    await fetch();
    assert.deepEqual(seen, ['nobody', 'client']);
    for (const end of ['cert', 'key']) writeFileSync(join(own, `second.${end}`), '');
    await assert.rejects(fetch(), code('unsupported'));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
