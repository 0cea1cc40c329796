import { type ErrorCode, type ErrorPlace, GantryError } from '../kernel/mod.ts';

/** The parts of a Kubernetes Status (API conventions, "Response Status Kind") that tell what went wrong. */
interface StatusAnswer {
  message?: unknown;
  reason?: unknown;
  code?: unknown;
  details?: { causes?: { reason?: string; message?: string; field?: string }[]; retryAfterSeconds?: unknown; [fact: string]: unknown };
}

/** Status reasons (apimachinery `StatusReason`) by our codes. Reasons that are not here go by their HTTP code. */
const codesByReason: Readonly<Record<string, ErrorCode>> = {
  BadRequest: 'invalid',
  Invalid: 'invalid',
  Unauthorized: 'unauthenticated',
  Forbidden: 'forbidden',
  NotFound: 'not-found',
  AlreadyExists: 'already-exists',
  Conflict: 'conflict',
  Expired: 'conflict',
  Gone: 'conflict',
  TooManyRequests: 'exhausted',
  RequestEntityTooLarge: 'exhausted',
  ServiceUnavailable: 'unavailable',
  ServerTimeout: 'unavailable',
  Timeout: 'timeout',
  MethodNotAllowed: 'unsupported',
  NotAcceptable: 'unsupported',
  UnsupportedMediaType: 'unsupported',
  InternalError: 'internal',
};

const codesByHttpStatus: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid',
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not-found',
  405: 'unsupported',
  406: 'unsupported',
  408: 'timeout',
  409: 'conflict',
  410: 'conflict',
  412: 'precondition-failed',
  413: 'exhausted',
  415: 'unsupported',
  422: 'invalid',
  429: 'exhausted',
  502: 'unavailable',
  503: 'unavailable',
  504: 'timeout',
};

/** A failed answer as a GantryError; `details.reason` and `details.httpStatus` are kept. `body` is what the server sent, JSON or not. */
export function toStatusError(httpStatus: number, body: string, retryAfter: string | undefined, what: string): GantryError {
  const status = parseStatus(body);
  const reason = typeof status?.reason === 'string' ? status.reason : '';
  const code = codesByReason[reason] ?? codesByHttpStatus[httpStatus] ?? 'internal';
  const message = typeof status?.message === 'string' && status.message !== '' ? status.message : `${what}: HTTP ${httpStatus}${reason === '' ? '' : ` ${reason}`}`;
  return new GantryError(code, message, {
    places: (status?.details?.causes ?? []).map(toPlace),
    details: { ...status?.details, reason: reason === '' && httpStatus === 410 ? 'Expired' : reason, httpStatus },
    retryAfterMs: retryAfterMs(retryAfter, status),
  });
}

function toPlace(cause: { reason?: string; message?: string; field?: string }): ErrorPlace {
  return { message: cause.message ?? '', ...(cause.field === undefined ? {} : { field: cause.field }), ...(cause.reason === undefined ? {} : { reason: cause.reason }) };
}

function retryAfterMs(header: string | undefined, status: StatusAnswer | undefined): number | undefined {
  const seconds = Number(header ?? status?.details?.retryAfterSeconds);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

function parseStatus(body: string): StatusAnswer | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
