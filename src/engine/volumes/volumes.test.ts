import assert from 'node:assert/strict';
import { closeSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import * as fc from 'fast-check';
import { isError } from '../../kernel/mod.ts';
import { parseLocalOptions } from './local-options.ts';
import { openBeneath } from './subpath.ts';

const folder = mkdtempSync(join(tmpdir(), 'gantry-volume-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('parseLocalOptions() honours binds and refuses what it would have to keep mounted', () => {
  assert.equal(parseLocalOptions({}), undefined);
  assert.deepEqual(parseLocalOptions({ type: 'none', o: 'bind,ro', device: '/srv' }), { device: '/srv', isReadOnly: true });
  assert.deepEqual(parseLocalOptions({ type: 'bind', device: '/srv' }), { device: '/srv', isReadOnly: false });
  const refused: Record<string, string>[] = [{ type: 'tmpfs', device: 'tmpfs' }, { type: 'nfs', o: 'addr=192.0.2.1', device: ':/x' }, { o: 'bind' }, { o: 'bind', device: 'relative' }, { o: 'bind,uid=1', device: '/x' }, { size: '1g' }, { type: 'ext4', o: 'bind', device: '/x' }];
  for (const options of refused) {
    assert.throws(() => parseLocalOptions(options), (error) => isError(error, 'invalid', 'unsupported'), JSON.stringify(options));
  }
});

test('openBeneath() finds what is below the volume, and keeps it whatever happens to the path', () => {
  mkdirSync(join(folder, 'a/b'), { recursive: true });
  writeFileSync(join(folder, 'a/b/file'), 'kept');
  const part = openBeneath(folder, './a//b');
  renameSync(join(folder, 'a/b'), join(folder, 'a/moved'));
  symlinkSync('/etc', join(folder, 'a/b'));
  assert.equal(readFileSync(`/proc/self/fd/${part}/file`, 'utf8'), 'kept');
  closeSync(part);
});

test('openBeneath() never leads out of the volume', () => {
  symlinkSync('/etc', join(folder, 'link'));
  symlinkSync('.', join(folder, 'harmless'));
  for (const path of ['/etc', '../x', 'a/../../x', 'link', 'link/passwd', 'harmless', 'none', 'a/b/c/d', 'x\0y']) assert.throws(() => openBeneath(folder, path), (error) => isError(error, 'invalid'), path);
  const part = fc.constantFrom('a', '..', '.', 'link', 'harmless', 'moved', '', 'file');
  fc.assert(fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
    try {
      closeSync(openBeneath(folder, parts.join('/')));
      assert.ok(!parts.includes('..') && !parts.includes('link'));
    } catch (error) {
      assert.ok(isError(error, 'invalid'), String(error));
    }
  }), { numRuns: 300 });
});
