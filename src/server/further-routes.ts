import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ErrorCode, formatError, GantryError, toGantryError } from '../kernel/mod.ts';

/** Routes of another part; false: the path is not its own. Errors are answered as `{"code","message"}`. */
export interface FurtherRoutes {
  handle(request: IncomingMessage, response: ServerResponse, url: URL, signal: AbortSignal): Promise<boolean>;
}

/** False when the routes do not know the path; an error of theirs is answered. */
export async function serveFurther(further: FurtherRoutes, request: IncomingMessage, response: ServerResponse, url: URL): Promise<boolean> {
  const gone = new AbortController();
  response.once('close', () => gone.abort(new GantryError('cancelled', 'the client went away')));
  try {
    return await further.handle(request, response, url, gone.signal);
  } catch (error) {
    answerError(response, error);
    return true;
  }
}

/** Answers `{"code","message"}`; an answer that has begun is broken off. */
export function answerError(response: ServerResponse, error: unknown): void {
  const { code } = toGantryError(error);
  if (response.headersSent) response.destroy();
  else response.writeHead(httpStatus[code], { 'content-type': 'application/json' }).end(JSON.stringify({ code, message: formatError(error) }));
}

const httpStatus = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  'already-exists': 409,
  conflict: 409,
  'precondition-failed': 412,
  exhausted: 413,
  unavailable: 503,
  timeout: 504,
  cancelled: 499,
  unsupported: 400,
  internal: 500,
} satisfies Record<ErrorCode, number>;
