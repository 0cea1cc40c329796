import { getXattr, listXattrs } from '../../host/mod.ts';

/** Extended attributes that belong to a file's content: not the file system's own (overlayfs) nor the machine's (SELinux). */
export function copiedXattrs(path: string): { name: string; value: Buffer }[] {
  return listXattrs(path)
    .filter((name) => !name.startsWith('trusted.overlay.') && name !== 'security.selinux')
    .toSorted()
    .flatMap((name) => {
      const value = getXattr(path, name);
      return value === undefined ? [] : [{ name, value: Buffer.from(value) }];
    });
}
