import { symlinkSync } from 'node:fs';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, GantryError, shortHash } from '../kernel/mod.ts';
import { mount, withFileIds } from './syscalls.ts';

export interface OverlayMount {
  /** Read-only folders, the top one first, as `lowerdir=` wants them. At least one. */
  readonly lowerFolders: readonly string[];
  readonly upperFolder: string;
  readonly workFolder: string;
  readonly target: string;
  /** What is written need not survive a power loss: nothing is written to disk at the unmount. After such a loss the upper folder is void. */
  readonly isVolatile: boolean;
  /** Where short symlinks to layers may be made: mount options must fit a page, so long lists of long paths need them. */
  readonly linkFolder: string;
  /** Whose ids the mounter has; default: root's. The root of a user namespace when the folders' ids are mapped. */
  readonly mounter?: { readonly uid: number; readonly gid: number };
}

/** What mount(2) copies of its options. */
const maxOptionBytes = 4095;

/** Mounts an overlay; the folders exist. `exhausted` when even shortened the layers do not fit the mount options (about 120). */
export function mountOverlay(overlay: OverlayMount): void {
  let data = overlayOptions(overlay, overlay.lowerFolders);
  if (Buffer.byteLength(data) > maxOptionBytes) data = overlayOptions(overlay, overlay.lowerFolders.map((folder) => shortLink(overlay.linkFolder, folder)));
  if (Buffer.byteLength(data) > maxOptionBytes) throw new GantryError('exhausted', `an image of ${overlay.lowerFolders.length} layers is too deep for one overlay mount`);
  const { mounter } = overlay;
  if (mounter === undefined) mount('overlay', overlay.target, 'overlay', 0, data);
  else withFileIds(mounter, () => mount('overlay', overlay.target, 'overlay', 0, data));
}

/** The options of an overlay mount. Colons and commas of paths are escaped (Documentation/filesystems/overlayfs). */
export function overlayOptions(overlay: OverlayMount, lowerFolders: readonly string[]): string {
  const escapeComma = (path: string): string => path.replaceAll('\\', '\\\\').replaceAll(',', '\\,');
  const lower = lowerFolders.map((folder) => escapeComma(folder).replaceAll(':', '\\:')).join(':');
  return `lowerdir=${lower},upperdir=${escapeComma(overlay.upperFolder)},workdir=${escapeComma(overlay.workFolder)},index=off,metacopy=off${overlay.isVolatile ? ',volatile' : ''}`;
}

function shortLink(linkFolder: string, folder: string): string {
  const link = join(linkFolder, shortHash(folder, 10));
  mkdirSync(linkFolder, { recursive: true });
  try {
    symlinkSync(folder, link);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  return link;
}
