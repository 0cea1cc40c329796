import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { utimes } from 'node:fs/promises';
import { posix } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GantryError } from '../../kernel/mod.ts';
import type { RemoteFile } from '../plan/build-plan.ts';

export interface FetchedFile {
  /** The last part of the URL's path, as ADD names it. */
  readonly name: string;
  /** Hex SHA-256. */
  readonly digest: string;
}

/** The name ADD gives a remote file. */
export function remoteFileName(url: string): string {
  const base = posix.basename(new URL(url).pathname);
  return base === '' || base === '/' ? '__unnamed__' : base;
}

/** Downloads to `path`. The time is the server's Last-Modified or the epoch. `unavailable` for an answer that is not 2xx, `invalid` for a wrong checksum. */
export async function fetchRemoteFile(file: RemoteFile, path: string, signal: AbortSignal): Promise<FetchedFile> {
  const response = await fetch(file.url, { signal }).catch((error: unknown) => {
    throw new GantryError('unavailable', `cannot fetch ${file.url}`, { cause: error });
  });
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
  const modified = Date.parse(response.headers.get('last-modified') ?? '');
  const seconds = Number.isNaN(modified) ? 0 : modified / 1000;
  await utimes(path, seconds, seconds);
  return { name: remoteFileName(file.url), digest };
}
