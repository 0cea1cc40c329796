import type { Readable } from 'node:stream';
import { type Dispatcher, Pool } from 'undici';
import { cancelled, GantryError, throwIfAborted } from '../kernel/mod.ts';
import { identityHeaders, type KubeConnection, tlsOptions } from './connection.ts';
import { toStatusError } from './status-error.ts';

export interface KubeRequest {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
}

/** Answers that take longer than this to begin are `timeout`. Streams may be silent for ever once they have begun. */
const headersTimeoutMs = 60_000;

/** HTTP to one API server over kept-alive connections. Streams have a pool of their own, as each holds its connection. */
export class Transport implements AsyncDisposable {
  readonly #calls: Pool;
  readonly #streams: Pool;
  readonly #prefix: string;
  readonly #headers: Record<string, string>;

  constructor(connection: KubeConnection) {
    const { origin, pathname } = new URL(connection.server);
    const shared = { connect: { ...tlsOptions(connection), timeout: 5_000 }, allowH2: false, headersTimeout: headersTimeoutMs };
    this.#calls = new Pool(origin, { ...shared, connections: 32, bodyTimeout: headersTimeoutMs });
    this.#streams = new Pool(origin, { ...shared, connections: null, bodyTimeout: 0 });
    this.#prefix = pathname.replace(/\/+$/, '');
    this.#headers = { ...identityHeaders(connection), accept: 'application/json' };
  }

  /** The parsed JSON of a successful answer; undefined when it has no body. Failed answers are thrown by their Status. */
  async json(request: KubeRequest, signal: AbortSignal): Promise<unknown> {
    const body = await this.#send(this.#calls, request, signal);
    const text = await readText(body, signal);
    if (text === '') return undefined;
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new GantryError('internal', `${request.method} ${request.path}: the answer is no JSON`, { cause: error });
    }
  }

  /** The body of a successful answer as it arrives. The caller reads it to its end or destroys it; an abort destroys it. */
  stream(request: KubeRequest, signal: AbortSignal): Promise<Readable> {
    return this.#send(this.#streams, request, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#calls.destroy(), this.#streams.destroy()]);
  }

  async #send(pool: Pool, request: KubeRequest, signal: AbortSignal): Promise<Body> {
    throwIfAborted(signal);
    const what = `${request.method} ${request.path}`;
    const hasBody = request.body !== undefined;
    const answer = await pool
      .request({
        method: request.method,
        path: this.#prefix + request.path,
        headers: hasBody ? { ...this.#headers, 'content-type': request.contentType ?? 'application/json' } : this.#headers,
        body: hasBody ? JSON.stringify(request.body) : null,
        signal,
      })
      .catch((error: unknown) => {
        throw toTransportError(error, what, signal);
      });
    if (answer.statusCode < 300) return answer.body;
    const text = await readText(answer.body, signal);
    const retryAfter = answer.headers['retry-after'];
    throw toStatusError(answer.statusCode, text, typeof retryAfter === 'string' ? retryAfter : undefined, what);
  }
}

type Body = Dispatcher.ResponseData['body'];

async function readText(body: Body, signal: AbortSignal): Promise<string> {
  try {
    return await body.text();
  } catch (error) {
    throw toTransportError(error, 'reading the answer', signal);
  }
}

/** A connection that failed or broke as `unavailable`, a silent server as `timeout`, an abort as the signal's reason. */
export function toTransportError(error: unknown, what: string, signal: AbortSignal): GantryError {
  if (signal.aborted) return cancelled(signal);
  if (error instanceof GantryError) return error;
  const isTimeout = error instanceof Error && /^(Headers|Body)TimeoutError$/.test(error.name);
  const message = error instanceof Error ? error.message : String(error);
  return new GantryError(isTimeout ? 'timeout' : 'unavailable', `${what}: ${message}`, { cause: error });
}
