/**
 * Installs what is missing and nothing else: Debian packages of scripts/packages.txt, then npm packages (Node 24 among them).
 * Plain JavaScript, because the machine's own Node (20 or newer) runs it before Node 24 is there.
 * Arguments: groups of packages.txt to install; default: need test tool.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const groups = process.argv.length > 2 ? process.argv.slice(2) : ['need', 'test', 'tool'];

if (process.platform !== 'linux') fail(`Gantry runs on Linux; this is ${process.platform}.`);
installDebianPackages();
installNpmPackages();

function installDebianPackages() {
  const missing = wanted().filter(({ name, command }) => (command === undefined ? !isInstalled(name) : !isOnPath(command) && !isInstalled(name)));
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => name);
  if (!isOnPath('apt-get')) fail(`These programs are missing and there is no apt-get to install them: ${names.join(' ')}`);
  if (process.getuid() !== 0) fail(`These Debian packages are missing: ${names.join(' ')}\nInstall them as root: apt-get install ${names.join(' ')}`);
  console.log(`setup: installing Debian packages: ${names.join(' ')}`);
  // A package's daemon must not start on the user's machine because a test wants its client.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const install = () => run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], env);
  if (install() === 0) return;
  run('apt-get', ['update', '-qq'], env);
  if (install() !== 0) fail(`apt-get could not install: ${names.join(' ')}\nWhat it printed is above. Without them Gantry cannot run.`);
}

function wanted() {
  return readFileSync(join(root, 'scripts/packages.txt'), 'utf8')
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '')
    .map((line) => line.split(/\s+/))
    .filter(([group]) => groups.includes(group))
    .map(([, name, command]) => ({ name, command }));
}

function isInstalled(name) {
  const { stdout } = spawnSync('dpkg-query', ['-W', '-f', '${db:Status-Status}', name], { encoding: 'utf8' });
  return stdout === 'installed';
}

function isOnPath(command) {
  return [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'].some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function installNpmPackages() {
  const stamp = join(root, 'node_modules/.gantry-setup');
  const wantedHash = createHash('sha256').update(readFileSync(join(root, 'package-lock.json'))).digest('hex');
  const isCurrent = existsSync(stamp) && readFileSync(stamp, 'utf8') === wantedHash && existsSync(join(root, 'node_modules/.bin/node'));
  if (isCurrent) return;
  console.log('setup: installing npm packages');
  if (run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], process.env) !== 0) fail('npm ci failed; what it printed is above.');
  const { stdout } = spawnSync(join(root, 'node_modules/.bin/node'), ['--version'], { encoding: 'utf8' });
  if (!/^v(2[4-9]|[3-9]\d)\./.test(stdout ?? '')) fail(`No Node 24 for ${process.arch} could be installed from npm (node-linux-${process.arch}).`);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, wantedHash);
}

function run(command, args, env) {
  return spawnSync(command, args, { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] }).status ?? 1;
}

function fail(message) {
  console.error(`setup: ${message}`);
  process.exit(1);
}
