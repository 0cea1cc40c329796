import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { KubernetesProtobuf } from '../../../wire/mod.ts';
import { statusOf } from '../status.ts';

const gzipAsync = promisify(gzip);

/** Answers larger than this are compressed for clients that accept it, as in Kubernetes. */
const gzipFromBytes = 128 * 1024;

const protobufType = 'application/vnd.kubernetes.protobuf';

/** Sends JSON text. Large answers are gzipped when the client accepts it. */
export async function sendText(request: IncomingMessage, response: ServerResponse, code: number, text: string | Uint8Array, contentType = 'application/json'): Promise<void> {
  if (response.headersSent || response.destroyed) return;
  let body: Uint8Array = typeof text === 'string' ? Buffer.from(text) : text;
  const headers: Record<string, string | number> = { 'content-type': contentType };
  if (body.length > gzipFromBytes && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) {
    body = await gzipAsync(body, { level: 1 });
    headers['content-encoding'] = 'gzip';
    headers['vary'] = 'Accept-Encoding';
  }
  headers['content-length'] = body.length;
  response.writeHead(code, headers);
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** Sends a value as JSON. */
export function sendJson(request: IncomingMessage, response: ServerResponse, code: number, value: unknown): Promise<void> {
  return sendText(request, response, code, JSON.stringify(value));
}

/** Sends the Status of an error; after the head is out, the connection is cut so that no one takes half an answer for a whole one. */
export async function sendError(request: IncomingMessage, response: ServerResponse, error: unknown, protobuf: KubernetesProtobuf): Promise<void> {
  if (response.headersSent) return void response.destroy();
  const status = statusOf(error);
  if (status.details?.retryAfterSeconds !== undefined) response.setHeader('retry-after', status.details.retryAfterSeconds);
  // The rest of a body that was refused is not read.
  if (request.httpVersionMajor === 1 && !request.complete) response.setHeader('connection', 'close');
  // Whatever Accept says: an error is told.
  const isBinary = (request.headers.accept ?? '').trimStart().startsWith(protobufType);
  if (isBinary) await sendText(request, response, status.code, protobuf.encode(status), protobufType);
  else await sendJson(request, response, status.code, status);
}

/** Adds a Warning header (RFC 9111 section 5.5, code 299) for each sentence. */
export function addWarnings(response: ServerResponse, warnings: readonly string[]): void {
  if (warnings.length === 0) return;
  const before = response.getHeader('warning');
  response.setHeader('warning', [...(Array.isArray(before) ? before : []), ...warnings.map((text) => `299 - "${text.replaceAll(/[\\"]/g, String.raw`\$&`).replaceAll(/[\r\n]+/g, ' ').slice(0, 1000)}"`)]);
}
