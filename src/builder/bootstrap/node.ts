import { chmod, copyFile, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GantryError, runCommand } from '../../kernel/mod.ts';
import { defaultPath } from '../plan/stage-state.ts';
import { debianSlimLayer } from './debian.ts';
import { packLayer } from './pack-layer.ts';
import { type BootstrapOptions, debianArchitecture, type ImageRecipe, type LayerRecipe } from './recipe.ts';

/** Of the package manager in node images. Pinned: images of one key are the same. */
const npmVersion = '11.19.1';

/** Starts the arguments with node when the first is an option or no program, as node images do. */
const entrypoint = `#!/bin/sh
set -e
if [ "\${1#-}" != "$1" ] || ! command -v "$1" >/dev/null 2>&1 || { [ -f "$1" ] && [ ! -x "$1" ]; }; then
  set -- node "$@"
fi
exec "$@"
`;

const accounts: readonly (readonly [file: string, line: string])[] = [
  ['etc/passwd', 'node:x:1000:1000::/home/node:/bin/bash'],
  ['etc/group', 'node:x:1000:'],
  ['etc/shadow', 'node:!:19518:0:99999:7:::'],
  ['etc/gshadow', 'node:!::'],
];

const nodeLayer: LayerRecipe = {
  createdBy: `node and npm ${npmVersion}`,
  key: async (options) => `node-${await nodeVersion(options)}-npm-${npmVersion}-${debianArchitecture()}-2`,
  make: async (tarPath, context, signal) => {
    const { options, workFolder, progress, environment } = context;
    const root = join(workFolder, 'root');
    const bin = join(root, 'usr/local/bin');
    await mkdir(bin, { recursive: true });
    await mkdir(join(root, 'home/node'), { recursive: true });
    await copyFile(nodeBinary(options), join(bin, 'node'));
    await chmod(join(bin, 'node'), 0o755);
    await writeFile(join(bin, 'docker-entrypoint.sh'), entrypoint);
    await chmod(join(bin, 'docker-entrypoint.sh'), 0o755);
    await symlink('node', join(bin, 'nodejs'));
    progress(`fetching npm ${npmVersion}`);
    await installNpm(root, workFolder, options, environment, signal);
    await addAccounts(root, await context.layerOf(debianSlimLayer), signal);
    await packLayer(root, tarPath, { ownedBy: { 'home/node': '1000:1000' } }, signal);
  },
};

/** The slim Debian image with the Node that runs this program, npm, npx, and the user `node` (1000). */
export const nodeSlim: ImageRecipe = {
  layers: [debianSlimLayer, nodeLayer],
  config: async (options) => ({
    Env: [`PATH=${defaultPath}`, `NODE_VERSION=${await nodeVersion(options)}`],
    Entrypoint: ['docker-entrypoint.sh'],
    Cmd: ['node'],
  }),
};

function nodeBinary(options: BootstrapOptions): string {
  return options.nodeBinary ?? process.execPath;
}

/** `unsupported` when the binary is not of major version 24, because the image is named for it. */
async function nodeVersion(options: BootstrapOptions): Promise<string> {
  const { stdout } = await runCommand(nodeBinary(options), ['--version'], {}, AbortSignal.timeout(10_000));
  const version = stdout.trim().replace(/^v/, '');
  if (!version.startsWith('24.')) throw new GantryError('unsupported', `${nodeBinary(options)} is Node ${version}; the image needs Node 24`);
  return version;
}

async function installNpm(root: string, workFolder: string, options: BootstrapOptions, environment: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
  const packed = join(workFolder, 'npm');
  await mkdir(packed);
  const env = { ...environment, PATH: `${dirname(nodeBinary(options))}:${environment['PATH'] ?? defaultPath}`, npm_config_cache: join(workFolder, 'npm-cache'), npm_config_update_notifier: 'false' };
  await runCommand('npm', ['pack', '--silent', `npm@${npmVersion}`, '--pack-destination', packed], { cwd: packed, env }, signal);
  const [archive] = await readdir(packed);
  if (archive === undefined) throw new GantryError('unavailable', `npm pack npm@${npmVersion} made no archive`);
  const target = join(root, 'usr/local/lib/node_modules/npm');
  await mkdir(target, { recursive: true });
  await runCommand('bsdtar', ['-xf', join(packed, archive), '-C', target, '--strip-components', '1', '--no-same-owner'], {}, signal);
  for (const name of ['npm', 'npx']) {
    await chmod(join(target, `bin/${name}-cli.js`), 0o755);
    await symlink(`../lib/node_modules/npm/bin/${name}-cli.js`, join(root, 'usr/local/bin', name));
  }
}

/** The base's account files with one more account. */
async function addAccounts(root: string, baseTar: string, signal: AbortSignal): Promise<void> {
  await mkdir(join(root, 'etc'), { recursive: true });
  for (const [file, line] of accounts) {
    const { stdout } = await runCommand('bsdtar', ['-xOf', baseTar, `./${file}`], {}, signal);
    await writeFile(join(root, file), `${stdout}${line}\n`);
    await chmod(join(root, file), file.endsWith('shadow') ? 0o640 : 0o644);
  }
}
