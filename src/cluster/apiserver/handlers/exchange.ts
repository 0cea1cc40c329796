import type { IncomingMessage, ServerResponse } from 'node:http';
import type { KubernetesProtobuf } from '../../../wire/mod.ts';
import type { User } from '../access/user.ts';
import type { RequestInfo } from '../requests/request-info.ts';

/** One request on its way through the handlers. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly info: RequestInfo;
  readonly query: URLSearchParams;
  readonly user: User;
  readonly protobuf: KubernetesProtobuf;
  /** Aborts when the client is gone or the server stops. */
  readonly signal: AbortSignal;
}
