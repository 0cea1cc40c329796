import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { baseEnv, GantryError } from '../kernel/mod.ts';

/** An archive of exactly these paths of a folder, folders without what is in them. Read it to its end, then await `done`. */
export function packFiles(folder: string, paths: readonly string[], signal: AbortSignal): { tar: Readable; done: Promise<void> } {
  const args = ['--format=pax', '--xattrs', '--numeric-owner', '--no-recursion', '--null', '--verbatim-files-from', '-C', folder, '-cf', '-', '-T', '-'];
  const child = spawn('tar', args, { env: { ...baseEnv(), LC_ALL: 'C.UTF-8' }, stdio: ['pipe', 'pipe', 'pipe'], signal });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-2000)));
  child.stdin.on('error', () => undefined);
  child.stdin.end(paths.map((path) => `./${path}\0`).join(''));
  const done = once(child, 'close').then(([code]) => {
    if (code !== 0) throw new GantryError('invalid', `cannot read the build context: ${said.trim()}`);
  });
  done.catch(() => undefined);
  return { tar: child.stdout, done };
}
