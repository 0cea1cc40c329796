import type { ServerResponse } from 'node:http';
import { type ErrorCode, formatError, isError } from '../../../kernel/mod.ts';

const statuses = {
  invalid: [400, 'BadRequest'],
  unauthenticated: [401, 'Unauthorized'],
  forbidden: [403, 'Forbidden'],
  'not-found': [404, 'NotFound'],
  'already-exists': [409, 'AlreadyExists'],
  conflict: [409, 'Conflict'],
  'precondition-failed': [409, 'Conflict'],
  exhausted: [429, 'TooManyRequests'],
  unavailable: [503, 'ServiceUnavailable'],
  timeout: [504, 'Timeout'],
  cancelled: [499, 'ClientClosedRequest'],
  unsupported: [501, 'NotImplemented'],
  internal: [500, 'InternalError'],
} as const satisfies Record<ErrorCode, readonly [number, string]>;

/** The error as an HTTP status and a Kubernetes Status, which the API server passes on as it is. */
export function toHttpError(error: unknown): { status: number; body: string } {
  const [status, reason] = statuses[isError(error) ? error.code : 'internal'];
  const body = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: formatError(error), reason, code: status };
  return { status, body: JSON.stringify(body) };
}

/** Answers with the error unless the answer has begun; then the connection is cut, so that nobody takes a part for the whole. */
export function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy();
  const { status, body } = toHttpError(error);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
