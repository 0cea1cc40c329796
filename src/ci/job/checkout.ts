import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { GantryError } from '../../kernel/mod.ts';
import type { JobSession, RepositoryRef, SourceReader } from '../ports.ts';
import { LineWriter } from './line-writer.ts';
import { shellQuote } from './step-script.ts';

/** Puts the files of the commit into the workspace, by `tar` in the job's own image. `unsupported` when the image has none. */
export async function checkout(session: JobSession, source: SourceReader, repository: RepositoryRef, commit: string, path: string, signal: AbortSignal): Promise<void> {
  const target = posix.join(session.workspace, path);
  if (target !== session.workspace && !target.startsWith(`${session.workspace}/`)) throw new GantryError('invalid', `the path ${JSON.stringify(path)} leaves the workspace`);
  const errors: string[] = [];
  const stderr = new LineWriter(async (line) => void errors.push(line));
  const script = `command -v tar > /dev/null 2>&1 || exit 127; mkdir -p ${shellQuote(target)} && exec tar -xf - -C ${shellQuote(target)}`;
  const archive = await source.archive(repository, commit, signal);
  const { exitCode } = await session.exec(['sh', '-c', script], { stdin: Readable.from(archive), stderr }, signal);
  if (exitCode === 127) throw new GantryError('unsupported', 'the image of the job has no tar, which the checkout needs');
  if (exitCode !== 0) throw new GantryError('internal', `tar ended with exit code ${exitCode}: ${errors.join(' ').slice(0, 500)}`);
}
