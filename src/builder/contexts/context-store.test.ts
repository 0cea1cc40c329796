import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { IgnoreRules, packFiles, parseIgnoreFile, readManifest } from '../../context/mod.ts';
import { isError } from '../../kernel/mod.ts';
import { ContextStore, type HeldContext } from './context-store.ts';

const needsRoot = { skip: process.getuid?.() === 0 ? false : 'needs root' };
const limit = (): AbortSignal => AbortSignal.timeout(60_000);

async function open(t: TestContext): Promise<{ folder: string; client: string; store: ContextStore; sync: (rules?: string) => Promise<HeldContext> }> {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-contexts-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const client = join(folder, 'client');
  mkdirSync(join(client, 'src'), { recursive: true });
  writeFileSync(join(client, 'src/a'), 'a');
  writeFileSync(join(client, 'b'), 'b');
  const store = await ContextStore.open(join(folder, 'store'));
  return { folder, client, store, sync: (rules) => sync(store, client, rules) };
}

async function sync(store: ContextStore, client: string, rules?: string): Promise<HeldContext> {
  const context = await store.hold(client, readManifest(client, rules === undefined ? IgnoreRules.none : parseIgnoreFile(rules, '.dockerignore')));
  if (context.missing.length > 0) {
    const { tar, done } = packFiles(client, context.missing, limit());
    await context.receive(tar, limit());
    await done;
  }
  return context;
}

test('ContextStore asks only for files that changed, and keeps its version while nothing does', needsRoot, async (t) => {
  const { client, sync: again } = await open(t);
  const versions: string[] = [];
  const missing: string[][] = [];
  const step = async (change?: () => void): Promise<string> => {
    change?.();
    using context = await again();
    versions.push(context.version);
    missing.push([...context.missing].toSorted());
    return context.folder;
  };
  const folder = await step();
  await step();
  await step(() => writeFileSync(join(client, 'src/a'), 'A'));
  assert.equal(readFileSync(join(folder, 'src/a'), 'utf8'), 'A');
  await step(() => chmodSync(join(client, 'b'), 0o700));
  await step(() => {
    rmSync(join(client, 'src'), { recursive: true });
    symlinkSync('b', join(client, 'src'));
  });
  assert.deepEqual([readdirSync(folder).toSorted(), readlinkSync(join(folder, 'src'))], [['b', 'src'], 'b']);
  await step(() => {
    rmSync(join(client, 'src'));
    mkdirSync(join(client, 'src/deep'), { recursive: true });
    renameSync(join(client, 'b'), join(client, 'src/deep/b'));
  });
  assert.deepEqual([readdirSync(folder), readdirSync(join(folder, 'src/deep'))], [['src'], ['b']]);
  assert.deepEqual(missing, [['b', 'src', 'src/a'], [], ['src/a'], ['b'], ['src'], ['src', 'src/deep', 'src/deep/b']]);
  assert.deepEqual(versions.map((version) => versions.indexOf(version)), [0, 0, 2, 3, 4, 5]);
});

test('ContextStore gives a second build at the same time a copy of its own, which goes with it', needsRoot, async (t) => {
  const { folder, sync: again } = await open(t);
  using first = await again();
  {
    using second = await again();
    assert.notEqual(second.folder, first.folder);
    assert.equal(readFileSync(join(second.folder, 'b'), 'utf8'), 'b');
  }
  assert.equal(readdirSync(join(folder, 'store')).length, 1);
});

test('ContextStore forgets a copy that was not sent whole', needsRoot, async (t) => {
  const { folder, client, store } = await open(t);
  {
    using half = await store.hold(client, readManifest(client, IgnoreRules.none));
    assert.equal(half.isComplete, false);
    await assert.rejects(half.receive(packFiles(client, ['b'], limit()).tar, limit()), (error) => isError(error, 'invalid'));
  }
  assert.equal(existsSync(join(folder, 'store', readdirSync(join(folder, 'store'))[0] ?? '', 'manifest.json')), false);
  await ContextStore.open(join(folder, 'store'));
  assert.deepEqual(readdirSync(join(folder, 'store')), []);
});

test('readManifest() leaves out what .dockerignore does, and takes folders that exceptions need', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-manifest-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const path of ['a/keep/x', 'a/y', 'node_modules/z/index.js', 'top']) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), '');
  }
  const paths = (rules: string, always: string[] = []): string[] => [...readManifest(folder, parseIgnoreFile(rules, 'f'), new Set(always)).keys()].toSorted();
  assert.deepEqual(paths('node_modules\na/y'), ['a', 'a/keep', 'a/keep/x', 'top']);
  assert.deepEqual(paths('*\n!a/keep'), ['a', 'a/keep', 'a/keep/x']);
  assert.deepEqual(paths('*', ['top']), ['top']);
});
