import type { IncomingMessage, ServerResponse } from 'node:http';
import { registryError } from './registry-error.ts';

/** One request and what its handlers need to answer it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
}

/** Answers with headers and, unless the method is HEAD, the body. */
export function answer({ request, response }: Exchange, status: number, headers: Readonly<Record<string, string | number>>, body: string | Uint8Array = ''): void {
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
  response.end(request.method === 'HEAD' ? undefined : body);
}

export function answerJson(exchange: Exchange, value: unknown, headers: Readonly<Record<string, string>> = {}): void {
  answer(exchange, 200, { 'content-type': 'application/json', ...headers }, JSON.stringify(value));
}

/** The request's body in memory. SIZE_INVALID when it is larger. */
export async function readBody({ request }: Exchange, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw registryError('exhausted', 'SIZE_INVALID', `the body is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The page of a sorted list that `n` and `last` ask for, and the Link header of the next (OCI distribution spec, "Listing Tags"). */
export function pageOf(all: readonly string[], query: URLSearchParams, path: string, maxEntries: number): { page: string[]; link: Record<string, string> } {
  const asked = query.get('n');
  if (asked !== null && !/^\d{1,9}$/.test(asked)) throw registryError('invalid', 'PAGINATION_NUMBER_INVALID', `invalid number of entries ${JSON.stringify(asked.slice(0, 50))}`);
  const count = Math.min(asked === null ? maxEntries : Number(asked), maxEntries);
  const last = query.get('last');
  const after = last === null ? all : all.filter((entry) => entry > last);
  const page = after.slice(0, count);
  const end = page.at(-1);
  if (end === undefined || after.length <= count) return { page, link: {} };
  return { page, link: { link: `<${path}?n=${count}&last=${encodeURIComponent(end)}>; rel="next"` } };
}
