import { registryError } from './registry-error.ts';

/** Bytes `[start, end)`. */
export interface ByteRange { readonly start: number; readonly end: number }

/**
 * A Range header for content of `size` bytes (RFC 9110, 14.1.2). Undefined: the whole is answered, as the RFC allows for
 * several ranges and other units.
 */
export function parseRange(header: string | undefined, size: number): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '');
  const [, first = '', last = ''] = match ?? [];
  if (match === null || (first === '' && last === '')) return undefined;
  if (first === '') {
    const start = Math.max(size - Number(last), 0);
    return start < size ? { start, end: size } : 'unsatisfiable';
  }
  const start = Number(first);
  const end = last === '' ? size : Math.min(Number(last) + 1, size);
  if (last !== '' && Number(last) < start) return undefined;
  return start < size ? { start, end } : 'unsatisfiable';
}

/** The Content-Range of an upload's part: `<start>-<end>`, both included (OCI distribution spec, "Pushing a blob in chunks"). */
export function parseContentRange(header: string | undefined): ByteRange | undefined {
  if (header === undefined) return undefined;
  const match = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header.trim());
  const [start, last] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || last < start) throw registryError('invalid', 'BLOB_UPLOAD_INVALID', `malformed Content-Range ${JSON.stringify(header.slice(0, 100))}`);
  return { start, end: last + 1 };
}
