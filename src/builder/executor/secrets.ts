import { chmodSync, chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Values that a build may use and nothing may keep. */
export type BuildSecrets = ReadonlyMap<string, Uint8Array>;

/** Writes a secret to a file of a folder in memory, for one RUN step; disposing removes it. */
export function holdSecretFile(folder: string, name: string, value: Uint8Array, owner: { uid: number; gid: number; mode: number }): Disposable & { path: string } {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, name);
  writeFileSync(path, value, { mode: 0o600, flag: 'wx' });
  chownSync(path, owner.uid, owner.gid);
  chmodSync(path, owner.mode);
  return { path, [Symbol.dispose]: () => rmSync(path, { force: true }) };
}
