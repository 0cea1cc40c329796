import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFileAtomic, readTextIfExists, writeFileAtomic } from './files.ts';

test('writeFileAtomic() replaces the file with the mode, makes folders, and leaves nothing beside it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-files-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'deep/state.json');
  await writeFileAtomic(path, 'one');
  await writeFileAtomic(path, 'two', 0o640);
  assert.deepEqual([await readFile(path, 'utf8'), (await stat(path)).mode & 0o777, await readdir(join(folder, 'deep'))], ['two', 0o640, ['state.json']]);
});

test('writeFileAtomic() keeps the old content when the new cannot be written', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-files-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'taken');
  await writeFileAtomic(join(path, 'inside'), 'kept');
  await assert.rejects(writeFileAtomic(path, 'a folder is in the way'));
  assert.deepEqual([await readdir(folder), await readFile(join(path, 'inside'), 'utf8')], [['taken'], 'kept']);
});

test('createFileAtomic() lets one of many win and leaves nothing beside it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-files-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'once');
  const results = await Promise.all(['a', 'b', 'c', 'd'].map(async (text) => ((await createFileAtomic(path, text)) ? text : '')));
  const [winner, ...others] = results.filter((text) => text !== '');
  assert.deepEqual([others, await readFile(path, 'utf8'), await readdir(folder)], [[], winner, ['once']]);
});

test('readTextIfExists() tells absent from empty', async () => {
  assert.deepEqual([await readTextIfExists('/no/such/file'), await readTextIfExists('/dev/null')], [undefined, '']);
});
