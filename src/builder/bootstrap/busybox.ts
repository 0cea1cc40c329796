import { chmod, copyFile, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError, runCommand } from '../../kernel/mod.ts';
import { defaultPath } from '../plan/stage-state.ts';
import { packLayer } from './pack-layer.ts';
import { debianArchitecture, type ImageRecipe, type LayerRecipe, type RecipeContext } from './recipe.ts';

const folders = ['bin', 'dev', 'etc', 'home', 'proc', 'root', 'sys', 'tmp', 'usr/bin', 'usr/sbin', 'var/spool/mail', 'var/www'];

const files: Readonly<Record<string, string>> = {
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nwww-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n',
  'etc/group': 'root:x:0:\ndaemon:x:1:\ntty:x:5:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n',
  'etc/shadow': 'root:*:19518:0:99999:7:::\n',
  'etc/hostname': 'localhost\n',
  'etc/hosts': '127.0.0.1\tlocalhost\n::1\tlocalhost\n',
  'etc/resolv.conf': '',
};

const busyboxLayer: LayerRecipe = {
  createdBy: 'busybox-static',
  key: async () => `busybox-${debianArchitecture()}-2`,
  make: async (tarPath, context, signal) => {
    const root = join(context.workFolder, 'root');
    for (const folder of folders) await mkdir(join(root, folder), { recursive: true });
    for (const [path, content] of Object.entries(files)) {
      await writeFile(join(root, path), content);
      await chmod(join(root, path), path.endsWith('shadow') ? 0o640 : 0o644);
    }
    await copyFile(await busyboxBinary(context, signal), join(root, 'bin/busybox'));
    await chmod(join(root, 'bin/busybox'), 0o755);
    const { stdout } = await runCommand(join(root, 'bin/busybox'), ['--list'], {}, signal);
    for (const applet of stdout.split('\n').filter((name) => name !== '' && name !== 'busybox').toSorted()) await symlink('busybox', join(root, 'bin', applet));
    await symlink('../../bin/env', join(root, 'usr/bin/env'));
    await chmod(join(root, 'tmp'), 0o1777);
    await chmod(join(root, 'root'), 0o700);
    await packLayer(root, tarPath, { ownedBy: {} }, signal);
  },
};

/** Debian's static busybox: the smallest image with a shell. */
export const busybox: ImageRecipe = { layers: [busyboxLayer], config: async () => ({ Env: [`PATH=${defaultPath}`], Cmd: ['sh'] }) };

/** The machine's own when it is the static one, else the package's. */
async function busyboxBinary({ workFolder, environment, progress }: RecipeContext, signal: AbortSignal): Promise<string> {
  for (const path of ['/bin/busybox', '/usr/bin/busybox']) if (await isStatic(path, signal)) return path;
  progress('fetching busybox-static');
  const folder = join(workFolder, 'package');
  await mkdir(folder);
  await runCommand('apt-get', ['download', 'busybox-static'], { cwd: folder, env: { ...environment } }, signal);
  const [archive] = await readdir(folder);
  if (archive === undefined) throw new GantryError('unavailable', 'apt-get download busybox-static fetched nothing');
  await runCommand('dpkg-deb', ['-x', join(folder, archive), join(folder, 'unpacked')], {}, signal);
  return join(folder, 'unpacked/bin/busybox');
}

async function isStatic(path: string, signal: AbortSignal): Promise<boolean> {
  const { stdout, stderr, code } = await runCommand('ldd', [path], { okCodes: [0, 1] }, signal);
  return code === 1 && /not a dynamic executable/.test(stdout + stderr);
}
