import { type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GantryError } from '../../../kernel/mod.ts';
import type { NodeDialer } from '../ports.ts';
import { sendJson } from '../requests/respond.ts';
import type { ConnectTarget } from './connect-subresource.ts';

/** The most that is read of an agent's error answer, in bytes. */
const maxErrorBytes = 64 * 1024;

/** Passes a plain request on to a node's agent and streams its answer. An error of the agent's becomes a Status with the same code. */
export async function forwardRequest(dialer: NodeDialer, target: ConnectTarget, request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
  const socket = await dialer.connect(target.nodeName, signal);
  try {
    const answer = await ask(socket, target, request.method ?? 'GET', signal);
    const code = answer.statusCode ?? 502;
    if (code >= 300) return await sendJson(request, response, code, errorStatus(code, await readAll(answer)));
    response.writeHead(code, { 'content-type': answer.headers['content-type'] ?? 'text/plain' });
    response.flushHeaders();
    await pipeline(answer, response, { signal });
  } catch (error) {
    // A client that has seen enough of a log simply leaves.
    if (!signal.aborted) throw error;
  } finally {
    socket.destroy();
  }
}

function ask(socket: Duplex, { path, nodeName }: ConnectTarget, method: string, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ createConnection: () => socket, method, path, headers: { host: nodeName, connection: 'close' }, signal });
    request.once('response', resolve);
    request.once('error', (error) => reject(new GantryError('unavailable', `the agent of node ${nodeName} did not answer`, { cause: error })));
    request.end();
  });
}

async function readAll(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes <= maxErrorBytes) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** The agent's own Status, or one made of its text. */
function errorStatus(code: number, body: string): unknown {
  try {
    const value = JSON.parse(body) as { kind?: unknown; message?: unknown };
    if (value.kind === 'Status') return value;
    if (typeof value.message === 'string') return failure(code, value.message);
  } catch {
    // Plain text.
  }
  return failure(code, body.trim());
}

function failure(code: number, message: string): unknown {
  const reasons: Readonly<Record<number, string>> = { 400: 'BadRequest', 403: 'Forbidden', 404: 'NotFound', 500: 'InternalError', 503: 'ServiceUnavailable' };
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, ...(reasons[code] === undefined ? {} : { reason: reasons[code] }), code };
}

/** Headers that concern only this hop, or that would show the user's secrets to the node. */
const droppedHeaders = new Set(['authorization', 'cookie', 'host', 'x-forwarded-for', 'impersonate-user', 'impersonate-group']);

/**
 * Passes an upgrade (WebSocket, SPDY) on to a node's agent, then every byte in both directions unread. Resolves when both sides are done.
 */
export async function tunnelUpgrade(dialer: NodeDialer, target: ConnectTarget, request: IncomingMessage, client: Duplex, head: Buffer, signal: AbortSignal): Promise<void> {
  const node = await dialer.connect(target.nodeName, signal);
  const headers = pairs(request.rawHeaders).filter(([name]) => !droppedHeaders.has(name.toLowerCase()));
  const lines = [`${request.method ?? 'GET'} ${target.path} HTTP/1.1`, `Host: ${target.nodeName}`, ...headers.map(([name, value]) => `${name}: ${value}`)];
  node.write(`${lines.join('\r\n')}\r\n\r\n`);
  if (head.length > 0) node.write(head);
  // Two pipelines on one socket listen more often than Node takes for usual.
  for (const socket of [client, node]) socket.setMaxListeners(32);
  const ends = Promise.allSettled([pipeline(client, node, { signal }), pipeline(node, client, { signal })]);
  // One direction's error ends both; the settled promise owns the errors.
  node.once('close', () => client.destroy());
  client.once('close', () => node.destroy());
  await ends;
}

function pairs(raw: readonly string[]): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_, index) => [raw[2 * index] ?? '', raw[2 * index + 1] ?? '']);
}
