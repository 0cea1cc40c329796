import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import type { SourceReader } from '../ports.ts';

/** The same files at every commit. */
export function memorySource(files: Readonly<Record<string, string>>): SourceReader {
  return {
    readFile: async (_repository, _commit, path) => files[path],
    listFiles: async (_repository, _commit, folder) => Object.keys(files).filter((path) => path.startsWith(folder === '' ? '' : `${folder}/`)).toSorted(),
    changedFiles: async () => Object.keys(files).toSorted(),
    commitInfo: async () => ({ message: 'change', author: 'Alice', email: 'alice@example.com', timestamp: '2026-01-02T03:04:05Z' }),
    archive: async () => Readable.from([tar(files)]),
  };
}

function tar(files: Readonly<Record<string, string>>): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-source-'));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    return execFileSync('tar', ['-cf', '-', '-C', folder, '.']);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
