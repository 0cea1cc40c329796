import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isError } from '../../kernel/mod.ts';
import { MountPoints } from './mount-points.ts';

function tree(t: TestContext): { folder: string; root: string } {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-mounts-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'root/etc'), { recursive: true });
  return { folder, root: join(folder, 'root') };
}

test('MountPoints makes what is missing and leaves the tree as it was', (t) => {
  const { root } = tree(t);
  utimesSync(join(root, 'etc'), 1000, 1000);
  const points = new MountPoints(root, [{ path: '/deep/er/folder', isFolder: true }, { path: '/etc/app.conf', isFolder: false }]);
  assert.ok(statSync(join(root, 'deep/er/folder')).isDirectory() && statSync(join(root, 'etc/app.conf')).isFile() && statSync(join(root, 'proc')).isDirectory());
  points.remove();
  assert.deepEqual([readdirSync(root), readdirSync(join(root, 'etc')), statSync(join(root, 'etc')).mtimeMs], [['etc'], [], 1_000_000]);
});

test('MountPoints keeps what the process put where a mount point was', (t) => {
  const { root } = tree(t);
  const points = new MountPoints(root, [{ path: '/made/by', isFolder: true }]);
  writeFileSync(join(root, 'made/file'), 'x');
  writeFileSync(join(root, 'etc/hosts'), 'mine');
  points.remove();
  assert.deepEqual([readdirSync(join(root, 'made')), readdirSync(join(root, 'etc'))], [['file'], ['hosts']]);
});

// CVE-2024-23652: the process replaces a mount point's parent by a link, so that the clean-up would delete files of the host.
test('CVE-2024-23652: MountPoints removes nothing outside the tree when links were put in its way', (t) => {
  const { folder, root } = tree(t);
  mkdirSync(join(folder, 'host/stub'), { recursive: true });
  const points = new MountPoints(root, [{ path: '/parent/stub', isFolder: true }]);
  rmSync(join(root, 'parent'), { recursive: true });
  symlinkSync('../../host', join(root, 'parent'));
  points.remove();
  assert.ok(existsSync(join(folder, 'host/stub')));
});

test('MountPoints follows links of the image inside the tree only', (t) => {
  const { folder, root } = tree(t);
  symlinkSync('/../../outside', join(root, 'link'));
  const points = new MountPoints(root, [{ path: '/link/x', isFolder: true }]);
  assert.ok(existsSync(join(root, 'outside/x')) && !existsSync(join(folder, 'outside')));
  points.remove();
});

test('MountPoints refuses a folder over a file', (t) => {
  const { root } = tree(t);
  writeFileSync(join(root, 'file'), '');
  assert.throws(() => new MountPoints(root, [{ path: '/file', isFolder: true }]), (error) => isError(error, 'invalid'));
});
