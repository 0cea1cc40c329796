import { type ErrorCode, GantryError } from '../../kernel/mod.ts';

/** Error codes of the OCI distribution spec, "Error Codes", and the one Docker adds for pagination. */
export type RegistryErrorCode =
  | 'BLOB_UNKNOWN' | 'BLOB_UPLOAD_INVALID' | 'BLOB_UPLOAD_UNKNOWN' | 'DIGEST_INVALID' | 'MANIFEST_BLOB_UNKNOWN' | 'MANIFEST_INVALID' | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID' | 'NAME_UNKNOWN' | 'SIZE_INVALID' | 'TAG_INVALID' | 'UNAUTHORIZED' | 'DENIED' | 'UNSUPPORTED' | 'TOOMANYREQUESTS' | 'PAGINATION_NUMBER_INVALID' | 'RANGE_INVALID' | 'UNKNOWN';

/** What is answered for an error that carries no code of the protocol. */
const answers = {
  invalid: [400, 'UNKNOWN'],
  unauthenticated: [401, 'UNAUTHORIZED'],
  forbidden: [403, 'DENIED'],
  'not-found': [404, 'NAME_UNKNOWN'],
  'already-exists': [409, 'DENIED'],
  conflict: [409, 'BLOB_UPLOAD_INVALID'],
  'precondition-failed': [416, 'BLOB_UPLOAD_INVALID'],
  exhausted: [413, 'SIZE_INVALID'],
  unavailable: [503, 'UNKNOWN'],
  timeout: [408, 'UNKNOWN'],
  cancelled: [400, 'UNKNOWN'],
  unsupported: [405, 'UNSUPPORTED'],
  internal: [500, 'UNKNOWN'],
} as const satisfies Record<ErrorCode, readonly [number, RegistryErrorCode]>;

/** An error that is answered with a code of the protocol. `detail` goes into the answer. */
export function registryError(code: ErrorCode, registryCode: RegistryErrorCode, message: string, detail?: unknown, retryAfterMs?: number): GantryError {
  return new GantryError(code, message, { details: { registryCode, ...(detail === undefined ? {} : { detail }) }, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

/** Status and body of an answer (OCI distribution spec, "Error Codes"). Internal errors do not tell their message. */
export function errorAnswer(error: GantryError): { status: number; body: string; retryAfterSeconds?: number } {
  const [status, fallback] = answers[error.code];
  const code = (error.details['registryCode'] as RegistryErrorCode | undefined) ?? fallback;
  const message = error.code === 'internal' ? 'internal error' : error.message;
  return { status: code === 'TOOMANYREQUESTS' ? 429 : status, body: JSON.stringify({ errors: [{ code, message, detail: error.details['detail'] ?? null }] }), ...(error.retryAfterMs === undefined ? {} : { retryAfterSeconds: Math.ceil(error.retryAfterMs / 1000) }) };
}
