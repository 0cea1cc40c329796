import { makeFolders } from '../files/make-folders.ts';
import { resolveOwner } from '../files/owner.ts';
import { resolveInRoot } from '../files/resolve-in-root.ts';
import type { StepInputs } from '../cache/step-inputs.ts';
import type { FolderAction } from '../plan/build-plan.ts';
import type { BuildTree } from '../ports.ts';

export function folderInputs(action: FolderAction): StepInputs {
  return [
    ['folder', action.path],
    ['owner', action.user],
  ];
}

/** WORKDIR: makes the folder when it is not there. */
export function performFolder(action: FolderAction, tree: BuildTree, timeSeconds: number | undefined): void {
  const owner = action.user === '' ? { uid: 0, gid: 0 } : resolveOwner(tree.rootPath, action.user);
  makeFolders(resolveInRoot(tree.rootPath, action.path), owner, timeSeconds);
}
