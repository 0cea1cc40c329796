import type { IncomingMessage, ServerResponse } from 'node:http';
import type { User } from '../access/user.ts';
import type { RequestInfo } from '../requests/request-info.ts';

/** One request on its way through the handlers. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly info: RequestInfo;
  readonly query: URLSearchParams;
  readonly user: User;
  /** Aborts when the client is gone or the server stops. */
  readonly signal: AbortSignal;
}
