import { execFileSync } from 'node:child_process';
import { readdirSync, realpathSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';

/** One kubectl of this machine. */
export interface KubectlBinary { readonly path: string; readonly minor: number; readonly version: string }

/** Older ones are below the floor that docs/compatibility-kubernetes.md names. */
export const oldestMinor = 31;

/** Every kubectl on PATH and beside it (`kubectl.1.33`), one of each minor version, newest first. Below the floor: left out. */
export function findKubectls(): KubectlBinary[] {
  const folders = new Set((process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== ''));
  for (const folder of folders) {
    try {
      folders.add(dirname(realpathSync(join(folder, 'kubectl'))));
    } catch {
      // None in this folder.
    }
  }
  const found = new Map<number, KubectlBinary>();
  for (const path of [...folders].flatMap(kubectlsIn)) {
    const binary = versionOf(path);
    if (binary !== undefined && binary.minor >= oldestMinor && !found.has(binary.minor)) found.set(binary.minor, binary);
  }
  return [...found.values()].toSorted((a, b) => b.minor - a.minor);
}

function kubectlsIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /^kubectl(\.\d+\.\d+)?$/.test(basename(name))).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

function versionOf(path: string): KubectlBinary | undefined {
  try {
    const { clientVersion } = JSON.parse(execFileSync(path, ['version', '--client', '-o', 'json'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })) as { clientVersion: { gitVersion: string; minor: string } };
    const minor = Number(/^v1\.(\d+)/.exec(clientVersion.gitVersion)?.[1]);
    // A dispatcher stands for others that are beside it.
    return Number.isInteger(minor) && !clientVersion.gitVersion.includes('dispatcher') ? { path, minor, version: clientVersion.gitVersion } : undefined;
  } catch {
    return undefined;
  }
}
