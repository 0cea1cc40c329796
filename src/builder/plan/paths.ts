import { posix } from 'node:path';

/** A path of an instruction as an absolute, clean one; a trailing slash (or `.`) is kept as a slash: it asks for a folder. */
export function resolveDestination(workingDir: string, path: string): string {
  const resolved = posix.resolve('/', workingDir, path === '' ? '.' : path);
  const isFolder = path === '' || path.endsWith('/') || /(?:^|\/)\.{1,2}$/.test(path);
  return isFolder && resolved !== '/' ? `${resolved}/` : resolved;
}

/** A source's path inside its root: absolute and clean, so that `..` cannot lead out of it. */
export function normalizeSource(path: string): string {
  return posix.normalize(`/${path}`).replace(/(?<=.)\/$/, '');
}

/** Whether the text has `*`, `?` or `[` that are not escaped. */
export function hasWildcards(text: string): boolean {
  return /^(?:[^\\*?[]|\\.)*[*?[]/s.test(text);
}
