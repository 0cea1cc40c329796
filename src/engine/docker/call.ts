import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex, Readable, Writable } from 'node:stream';
import type { z } from 'zod';
import { GantryError, type Logger, parseWith } from '../../kernel/mod.ts';
import type { Engine } from '../engine.ts';
import type { ImageStore } from '../images/types.ts';
import type { Credentials, ImageBuilder, RegistryLogin } from '../ports.ts';
import type { ApiVersion } from './api-version.ts';
import type { ExecTable } from './exec-table.ts';

/** What the handlers drive. */
export interface DockerServices {
  readonly engine: Engine;
  readonly images: ImageStore;
  readonly builder: ImageBuilder | undefined;
  /** Asked about logins; undefined: they are taken as they are. */
  readonly registry: RegistryLogin | undefined;
  readonly execs: ExecTable;
  readonly log: Logger;
  /** For unpacked build contexts. */
  readonly temporaryFolder: string;
  /** Of this program, shown by `docker version`. */
  readonly version: string;
  /** Credentials for clients that bring none, by image reference. */
  readonly credentialsFor?: (reference: string) => Credentials | undefined;
}

/** A connection whose client asked for an upgrade. */
export interface UpgradedConnection {
  readonly socket: Duplex;
  /** The head of the answer is out: what follows is the stream. */
  isTaken: boolean;
}

/** One request. */
export interface Call {
  readonly request: IncomingMessage;
  /** Of an upgraded request it only carries headers to be; its socket is in `upgraded`. */
  readonly response: ServerResponse;
  readonly upgraded: UpgradedConnection | undefined;
  readonly apiVersion: ApiVersion;
  readonly params: Readonly<Record<string, string>>;
  /** Names of the query parameters of the end point. */
  readonly parameters: readonly string[];
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
  /** The body, or what follows the head of an upgraded request. */
  readonly body: Readable;
}

/** Of JSON bodies. */
const maxJsonBytes = 16 << 20;

/** The JSON body through the schema; an empty body is `{}`. `invalid` names the fields. */
export async function readJson<S extends z.ZodType>(call: Call, schema: S): Promise<z.output<S>> {
  const length = call.upgraded === undefined ? undefined : Number(call.request.headers['content-length'] ?? 0);
  const text = (await readBytes(call.body, length)).toString();
  let value: unknown;
  try {
    value = text.trim() === '' ? {} : JSON.parse(text);
  } catch (error) {
    throw new GantryError('invalid', 'the body is not JSON', { cause: error });
  }
  return parseWith(schema, withoutParameters(value ?? {}, call.parameters), 'request body');
}

/** Clients such as dockerode send all they were given as parameters and in the body: what is a parameter is read there. */
function withoutParameters(value: unknown, parameters: readonly string[]): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([name]) => !parameters.includes(name)));
}

/** Skips the body of an upgraded request whose parameters say all: what follows it is the stream. */
export async function skipBody(call: Call): Promise<void> {
  if (call.upgraded !== undefined) await readBytes(call.body, Number(call.request.headers['content-length'] ?? 0));
}

/** All bytes, or exactly `length` and the rest put back. */
async function readBytes(source: Readable, length: number | undefined): Promise<Buffer> {
  if (length === 0) return Buffer.alloc(0);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of source.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size > maxJsonBytes) throw new GantryError('exhausted', `the body is larger than ${maxJsonBytes} bytes`);
    if (length !== undefined && size >= length) break;
  }
  const bytes = Buffer.concat(chunks);
  if (length !== undefined && bytes.length > length) source.unshift(bytes.subarray(length));
  return length === undefined ? bytes : bytes.subarray(0, length);
}

/** Answers with JSON. */
export function sendJson({ request, response }: Call, status: number, value: unknown): void {
  const body = `${JSON.stringify(value)}\n`;
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** Answers without a body. */
export function sendEmpty({ response }: Call, status: number): void {
  response.writeHead(status, status === 204 || status === 304 ? {} : { 'content-length': 0 }).end();
}

/** Begins an answer of JSON values, one a line; `write` drops what comes after the client has gone. */
export function openJsonStream({ response }: Call): { write: (value: unknown) => void; end: () => void } {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
  return {
    write: (value) => void (response.writable && response.write(`${JSON.stringify(value)}\r\n`)),
    end: () => void response.end(),
  };
}

/** Writes and waits until the reader keeps up. False when it has gone. */
export async function writeTo(output: Writable, chunk: Uint8Array | string): Promise<boolean> {
  if (output.destroyed || !output.writable) return false;
  if (output.write(chunk)) return true;
  return new Promise((resolve) => {
    const done = (): void => {
      output.off('drain', done).off('close', done).off('error', done);
      resolve(!output.destroyed);
    };
    output.once('drain', done).once('close', done).once('error', done);
  });
}
