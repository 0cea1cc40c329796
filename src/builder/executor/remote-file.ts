import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { utimes } from 'node:fs/promises';
import { posix } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GantryError } from '../../kernel/mod.ts';
import type { RemoteFile } from '../plan/build-plan.ts';

/** What the server said of a file when it was fetched, and what the file was. */
export interface RemoteNote {
  /** Hex SHA-256. */
  readonly digest: string;
  readonly etag?: string;
  readonly lastModified?: string;
}

/** The name ADD gives a remote file. */
export function remoteFileName(url: string): string {
  const base = posix.basename(new URL(url).pathname);
  return base === '' || base === '/' ? '__unnamed__' : base;
}

/**
 * Downloads to `path`; undefined when the server says that the file is still the one of `known`. The time is the server's Last-Modified or the epoch.
 * `unavailable` for an answer that is not 2xx, `invalid` for a wrong checksum.
 */
export async function fetchRemoteFile(file: RemoteFile, path: string, known: RemoteNote | undefined, signal: AbortSignal): Promise<RemoteNote | undefined> {
  const response = await fetch(file.url, { signal, headers: conditions(known) }).catch((error: unknown) => {
    throw new GantryError('unavailable', `cannot fetch ${file.url}`, { cause: error });
  });
  if (response.status === 304 && known !== undefined) return undefined;
  if (!response.ok || response.body === null) throw new GantryError('unavailable', `cannot fetch ${file.url}: the server answers ${response.status}`);
  const hash = createHash('sha256');
  const tee = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(Readable.fromWeb(response.body), tee, createWriteStream(path, { mode: 0o600 }), { signal });
  const digest = hash.digest('hex');
  if (file.checksum !== undefined && file.checksum !== `sha256:${digest}`) {
    throw new GantryError('invalid', `${file.url} has the digest sha256:${digest}, not ${file.checksum}`);
  }
  const [etag, lastModified] = [response.headers.get('etag'), response.headers.get('last-modified')];
  const modified = Date.parse(lastModified ?? '');
  const seconds = Number.isNaN(modified) ? 0 : modified / 1000;
  await utimes(path, seconds, seconds);
  return { digest, ...(etag === null ? {} : { etag }), ...(lastModified === null ? {} : { lastModified }) };
}

function conditions(known: RemoteNote | undefined): Record<string, string> {
  if (known?.etag !== undefined) return { 'if-none-match': known.etag };
  return known?.lastModified === undefined ? {} : { 'if-modified-since': known.lastModified };
}
