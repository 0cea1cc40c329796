import { createWriteStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type ErrorCode, GantryError } from '../../kernel/mod.ts';
import { locateInstance, restoreBackup } from '../../server/mod.ts';
import { readEnvironment } from '../environment.ts';
import { print } from '../output.ts';
import { type InstanceOptions, interruptSignal, openSession } from '../session.ts';

/** Writes the running instance into a file: the file is whole or not there. */
export async function backup(file: string, options: InstanceOptions): Promise<void> {
  await using session = await openSession(options);
  const signal = interruptSignal();
  const { url, token } = session.web;
  const response = await fetch(new URL('/api/v1/backup', url), { headers: { authorization: `Bearer ${token}` }, signal });
  if (!response.ok || response.body === null) throw new GantryError(({ 401: 'unauthenticated', 403: 'forbidden', 503: 'unavailable' } as Record<number, ErrorCode>)[response.status] ?? 'internal', (await response.text()).trim());
  const temporary = `${file}.partial`;
  try {
    await pipeline(Readable.fromWeb(response.body), createWriteStream(temporary, { mode: 0o600 }), { signal });
    await using written = await open(temporary, 'r');
    await written.sync();
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  print(`wrote ${file} (${((await stat(file)).size / 1e6).toFixed(1)} MB). It holds every secret of the instance`);
}

export async function restore(file: string, options: InstanceOptions): Promise<void> {
  const { paths } = await locateInstance(options.dataDir ?? readEnvironment().dataDir);
  await restoreBackup(resolve(file), paths.dataDir, interruptSignal());
  print(`restored ${paths.dataDir}; start it with 'gantry up --data-dir ${paths.dataDir}'`);
}
