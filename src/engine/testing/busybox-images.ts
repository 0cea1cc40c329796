import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Digest, ImageConfig } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { RootfsSource } from '../types.ts';

/** The one image of `BusyboxImages`. */
export const busyboxImage = { id: `sha256:${'b'.repeat(64)}` as Digest, reference: 'docker.io/library/busybox:latest' };

const applets = 'sh true false echo cat sleep ls id env hostname ip ping wget nc httpd ps mount umount stat readlink head tail wc dd seq test touch mkdir rm printf kill sync date grep awk tr stty nslookup unshare mknod chmod chown su usleep yes'.split(' ');

/** An image store of one layer with /bin/busybox, made in a temporary folder: enough to run real containers without a registry. */
export class BusyboxImages implements RootfsSource, Disposable {
  readonly folder: string;

  /** Without a folder it makes one; with the folder of another it shows the same image. */
  constructor(folder?: string) {
    this.folder = folder ?? mkdtempSync(join(tmpdir(), 'gantry-busybox-'));
    if (folder === undefined) this.#fill();
  }

  #fill(): void {
    const at = (path: string): string => join(this.folder, path);
    // As root of a container would see it, whatever the umask here.
    chmodSync(this.folder, 0o755);
    for (const name of ['bin', 'etc', 'tmp', 'root', 'proc', 'sys', 'dev', 'data']) mkdirSync(at(name), { mode: 0o755 });
    chmodSync(at('tmp'), 0o1777);
    copyFileSync('/bin/busybox', at('bin/busybox'));
    for (const applet of applets) symlinkSync('busybox', at(`bin/${applet}`));
    writeFileSync(at('etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nowhere:/bin/false\napp:x:1000:1000::/home/app:/bin/sh\n');
    writeFileSync(at('etc/group'), 'root:x:0:\nstaff:x:50:app\napp:x:1000:\nnogroup:x:65534:\n');
    writeFileSync(at('data/seed'), 'from the image\n');
  }

  async openRootfs(imageId: string): Promise<{ config: ImageConfig; layerFolders: readonly string[] }> {
    if (imageId !== busyboxImage.id) throw new GantryError('not-found', `No such image: ${imageId}`);
    const config: ImageConfig = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } };
    return { config, layerFolders: [this.folder] };
  }

  addUsers(): Disposable {
    return { [Symbol.dispose]: () => undefined };
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
