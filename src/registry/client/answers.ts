import { STATUS_CODES } from 'node:http';
import { type ErrorCode, errnoOf, GantryError, isError } from '../../kernel/mod.ts';

/** What a registry's refusal means to a caller. */
function codeOf(status: number): ErrorCode {
  if (status === 401) return 'unauthenticated';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not-found';
  if (status === 405 || status === 501) return 'unsupported';
  if (status === 413) return 'exhausted';
  if (status === 408 || status === 429 || status >= 500) return 'unavailable';
  return 'invalid';
}

/** The error of an answer that is no success; `body` is what the registry says (OCI distribution spec, "Error Codes"). */
export function answerError(what: string, status: number, body: string, retryAfter: string | undefined): GantryError {
  const seconds = /^\d+$/.test(retryAfter ?? '') ? Number(retryAfter) : undefined;
  return new GantryError(codeOf(status), `${what}: ${explain(body) ?? `the registry answered ${status} ${STATUS_CODES[status] ?? ''}`.trim()}`, {
    details: { status },
    ...(seconds === undefined ? {} : { retryAfterMs: seconds * 1000 }),
  });
}

/** A failure below HTTP: no connection, a broken one, a time limit. */
export function connectionError(what: string, error: unknown): GantryError {
  if (isError(error)) return error;
  const reason = error instanceof Error ? (errnoOf(error) ?? error.message) : String(error);
  return new GantryError('unavailable', `${what}: ${reason}`, { cause: error });
}

/** `MANIFEST_UNKNOWN` as people read it. */
function words(code: string): string {
  return code.toLowerCase().replaceAll('_', ' ');
}

function explain(body: string): string | undefined {
  try {
    const parsed = JSON.parse(body) as { errors?: { code?: unknown; message?: unknown }[] };
    const parts = (parsed.errors ?? []).map(({ code, message }) => [typeof code === 'string' ? words(code) : '', message].filter((part) => typeof part === 'string' && part !== '').join(': '));
    const text = parts.filter((part) => part !== '').join('; ');
    return text === '' ? undefined : text.slice(0, 500);
  } catch {
    return undefined;
  }
}
