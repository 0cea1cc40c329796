import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { errnoOf, type ErrorCode, errorCodes, GantryError } from '../kernel/mod.ts';

/** An import of `node:http` also loads the WebSocket client that it hands on, which takes as long as the rest of a short command. */
const { request } = process.getBuiltinModule('node:http');
const { connect } = process.getBuiltinModule('node:net');

/** Calls to the node agent over a unix socket. `unavailable` when no agent listens; a failed answer becomes the agent's own error. */
export class AgentClient {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async ask(method: string, path: string, body: string | Readable | undefined, signal: AbortSignal): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const call = request({ createConnection: () => connect(this.#socketPath), method, path, signal }, resolve);
      call.once('error', (error) => reject(failureOf(error, signal)));
      if (body === undefined || typeof body === 'string') call.end(body);
      else body.once('error', (error) => call.destroy(error)).pipe(call);
    });
    const status = response.statusCode ?? 0;
    if (status < 400) return response;
    throw toError(status, await textOf(response));
  }

  async json(method: string, path: string, body: string | Readable | undefined, signal: AbortSignal): Promise<unknown> {
    return JSON.parse(await textOf(await this.ask(method, path, body, signal))) as unknown;
  }

  /** An answer of lines of JSON, one after the other. */
  async *lines(method: string, path: string, body: string | undefined, signal: AbortSignal): AsyncGenerator<unknown> {
    const response = await this.ask(method, path, body, signal);
    let rest = '';
    for await (const chunk of response.setEncoding('utf8')) {
      const parts = (rest + String(chunk)).split('\n');
      rest = parts.pop() ?? '';
      for (const part of parts) if (part !== '') yield JSON.parse(part) as unknown;
    }
    if (rest !== '') yield JSON.parse(rest) as unknown;
  }
}

/** The code of an agent's error. */
export function errorCodeOf(text: string): ErrorCode {
  return errorCodes.find((code) => code === text) ?? 'internal';
}

function failureOf(error: Error, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  return ['ENOENT', 'ECONNREFUSED'].includes(errnoOf(error) ?? '') ? new GantryError('unavailable', "the node agent is not running; start it with 'gantry up'", { cause: error }) : error;
}

function toError(status: number, text: string): GantryError {
  try {
    const { code, message } = JSON.parse(text) as { code?: string; message?: string };
    const fallback = ({ 400: 'invalid', 404: 'not-found', 409: 'conflict' } as Record<number, ErrorCode>)[status] ?? 'internal';
    return new GantryError(code === undefined ? fallback : errorCodeOf(code), message ?? text.trim());
  } catch {
    return new GantryError('internal', text.trim());
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
