import { chownSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../../kernel/mod.ts';
import { walkTree } from '../files/walk.ts';
import { bootstrapEpoch } from './recipe.ts';

/** Writes a folder as a layer that is the same whenever and by whomever it is made: sorted, root's but for `ownedBy`, fixed times. */
export async function packLayer(root: string, tarPath: string, { ownedBy }: { ownedBy: Readonly<Record<string, string>> }, signal: AbortSignal): Promise<void> {
  for (const { hostPath } of walkTree(root)) if (process.getuid?.() === 0) chown(hostPath, '0:0');
  for (const [path, owner] of Object.entries(ownedBy)) for (const { hostPath } of walkTree(join(root, path))) chown(hostPath, owner);
  // Folders of the base keep their place: only what is below the root's own entry is packed.
  await runCommand('tar', ['--sort=name', `--mtime=@${bootstrapEpoch}`, '--numeric-owner', '--format=gnu', '-C', root, '-cf', tarPath, '.'], {}, signal);
}

function chown(path: string, owner: string): void {
  const [uid, gid] = owner.split(':').map(Number);
  chownSync(path, uid ?? 0, gid ?? 0);
}
