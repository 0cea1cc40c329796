import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { baseEnv, GantryError, runCommand } from '../../kernel/mod.ts';

const env = (): Record<string, string> => ({ ...baseEnv(), LC_ALL: 'C.UTF-8' });

/** An archive of everything in a folder. Read it to its end, then await `done`. */
export function packTree(folder: string, signal: AbortSignal): { tar: Readable; done: Promise<void> } {
  const child = spawn('tar', ['--format=pax', '--xattrs', '--numeric-owner', '--sort=name', '-C', folder, '-cf', '-', '.'], { env: env(), stdio: ['ignore', 'pipe', 'pipe'], signal });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-2000)));
  const done = once(child, 'close').then(([code]) => {
    if (code !== 0) throw new GantryError('internal', `cannot pack a folder: ${said.trim()}`);
  });
  done.catch(() => undefined);
  return { tar: child.stdout, done };
}

/** Unpacks into a folder that the program sees as its root, so that no name or link leads out. `invalid` when it is no archive. */
export async function unpackTree(tar: Readable, folder: string, signal: AbortSignal): Promise<void> {
  try {
    await runCommand('bsdtar', ['--chroot', '-x', '-p', '-P', '--numeric-owner', '--same-owner', '--xattrs', '-C', folder, '-f', '-'], { stdin: tar, env: env() }, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    throw new GantryError('invalid', 'the archive cannot be unpacked', { cause: error });
  }
}
