import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import type { Digest } from '../../api/mod.ts';
import { getXattr, makeNode, setXattr } from '../../host/mod.ts';
import { isError, silentLogger } from '../../kernel/mod.ts';
import { ImageCollector } from './image-collector.ts';
import { createTestImage, digestOf, openTestImageStore, testConfig, type TestMember, testTar } from './testing/test-images.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: layers keep owners and devices';
const signal = new AbortController().signal;
const code = (...codes: string[]) => (error: unknown) => isError(error) && codes.includes(error.code);
const isWhiteout = (path: string): boolean => lstatSync(path).isCharacterDevice() && lstatSync(path).rdev === 0;
const isOpaque = (path: string): boolean => getXattr(path, 'trusted.overlay.opaque')?.toString() === 'y';

test('importLayer() unpacks files, links, owners, modes, times and attributes', { skip }, async () => {
  await using store = await openTestImageStore();
  const tar = testTar([
    { path: './' },
    { path: './etc/', mode: 0o700, uid: 5, gid: 6, mtimeSeconds: 1_600_000_000 },
    { path: './etc/config', content: 'x=1', mode: 0o4711, uid: 1000, gid: 70_000, mtimeSeconds: 1_500_000_000.5 },
    { path: './etc/hard', type: 'hardlink', linkPath: './etc/config' },
    { path: './etc/soft', type: 'symlink', linkPath: '/absolute/elsewhere' },
    { path: './etc/grüße', content: 'ü', xattrs: new Map([['user.note', Buffer.from([0, 1, 255])]]) },
    { path: './implied/deep/file', content: 'deep' },
    { path: './pipe', type: 'fifo' },
  ]);
  const layer = await store.images.importLayer(Readable.from([tar]), signal);
  assert.deepEqual(layer, { diffId: digestOf(tar), sizeBytes: 9 });
  const [folder = ''] = store.images.layerFolders([layer.diffId]);
  const stat = (path: string): number[] => {
    const { mode, uid, gid, mtimeMs } = lstatSync(join(folder, path));
    return [mode & 0o7777, uid, gid, mtimeMs];
  };
  assert.deepEqual(stat('etc'), [0o700, 5, 6, 1_600_000_000_000]);
  assert.deepEqual(stat('etc/config'), [0o4711, 1000, 70_000, 1_500_000_000_500]);
  assert.equal(lstatSync(join(folder, 'etc/hard')).ino, lstatSync(join(folder, 'etc/config')).ino);
  assert.equal(readlinkSync(join(folder, 'etc/soft')), '/absolute/elsewhere');
  assert.deepEqual(getXattr(join(folder, 'etc/grüße'), 'user.note'), Buffer.from([0, 1, 255]));
  assert.equal(readFileSync(join(folder, 'implied/deep/file'), 'utf8'), 'deep');
  assert.ok(lstatSync(join(folder, 'pipe')).isFIFO());
});

test('importLayer() converts whiteouts for overlayfs', { skip }, async () => {
  await using store = await openTestImageStore();
  const tar = testTar([
    { path: 'usr/bin/.wh.gone' },
    { path: '.wh.top' },
    { path: 'opaque/' },
    { path: 'opaque/.wh..wh..opq' },
    { path: 'opaque/new', content: 'n' },
    { path: '.wh.replaced' },
    { path: 'replaced/' },
    { path: 'replaced/file', content: 'r' },
    { path: '.wh.rewritten' },
    { path: 'rewritten', content: 'w' },
    { path: '.wh..wh.plnk/123.4' },
    { path: '.wh.implied' },
    { path: 'implied/file', content: 'i' },
  ]);
  const { diffId } = await store.images.importLayer(Readable.from([tar]), signal);
  const [folder = ''] = store.images.layerFolders([diffId]);
  assert.deepEqual(readdirSync(folder).toSorted(), ['implied', 'opaque', 'replaced', 'rewritten', 'top', 'usr']);
  assert.deepEqual(['usr/bin/gone', 'top'].map((path) => isWhiteout(join(folder, path))), [true, true]);
  assert.deepEqual(['opaque', 'replaced', 'implied', 'usr'].map((path) => isOpaque(join(folder, path))), [true, true, true, false]);
  assert.equal(readFileSync(join(folder, 'rewritten'), 'utf8'), 'w');
});

test('importLayer() refuses what leaves the layer or does not belong in one, and names it', { skip }, async () => {
  const limits = { maxBytes: 1000, maxEntries: 20, maxNameBytes: 600 };
  await using store = await openTestImageStore({ limits });
  const cases: [what: string, members: TestMember[], named: string, code: string][] = [
    ['..', [{ path: 'a/../../evil', content: 'x' }], 'a/../../evil', 'invalid'],
    ['an absolute name', [{ path: '/etc/evil', content: 'x' }], '/etc/evil', 'invalid'],
    ['a name through a symlink', [{ path: 'out', type: 'symlink', linkPath: '/tmp' }, { path: 'out/evil', content: 'x' }], 'out/evil', 'invalid'],
    ['a whiteout through a symlink', [{ path: 'out', type: 'symlink', linkPath: '/tmp' }, { path: 'out/.wh.x' }], 'out/.wh.x', 'invalid'],
    ['a hard link out of the layer', [{ path: 'shadow', type: 'hardlink', linkPath: '/etc/shadow' }], 'shadow', 'invalid'],
    ['a hard link with ..', [{ path: 'shadow', type: 'hardlink', linkPath: '../../etc/shadow' }], 'shadow', 'invalid'],
    ['a hard link to what is not there', [{ path: 'h', type: 'hardlink', linkPath: 'etc/shadow' }], 'h', 'invalid'],
    ['a hard link through a symlink', [{ path: 'd', type: 'symlink', linkPath: '/etc' }, { path: 'h', type: 'hardlink', linkPath: 'd/shadow' }], 'h', 'invalid'],
    ['a character device', [{ path: 'dev/sda', type: 'character-device', deviceMajor: 8 }], 'dev/sda', 'invalid'],
    ['a block device', [{ path: 'dev/sda', type: 'block-device', deviceMajor: 8 }], 'dev/sda', 'invalid'],
    ['a whiteout of ..', [{ path: 'a/.wh...' }], 'a/.wh...', 'invalid'],
    ['overlay attributes', [{ path: 'f', xattrs: new Map([['trusted.overlay.redirect', Buffer.from('/etc')]]) }], 'f', 'invalid'],
    ['a root that is no folder', [{ path: './.', content: 'x' }], './.', 'invalid'],
    ['too many bytes', [{ path: 'a', content: 'x'.repeat(600) }, { path: 'b', content: 'x'.repeat(600) }], 'b', 'exhausted'],
    ['too many entries', Array.from({ length: 21 }, (_, at) => ({ path: `f${at}` })), 'f20', 'exhausted'],
    ['a long name', [{ path: 'd/'.repeat(301) + 'x' }], 'd/d/', 'exhausted'],
    ['a long part', [{ path: 'p'.repeat(256) }], 'ppp', 'exhausted'],
    ['a file below a whiteout', [{ path: '.wh.d/g', content: 'x' }], '.wh.d/g', 'invalid'],
    ['a file below a file', [{ path: 'f', content: 'x' }, { path: 'f/g', content: 'x' }], 'f/g', 'invalid'],
  ];
  for (const [what, members, named, expected] of cases) {
    const tar = testTar(members);
    await assert.rejects(store.images.importLayer(Readable.from([tar]), signal), (error) => {
      assert.ok(isError(error), what);
      assert.equal(error.code, expected, what);
      assert.ok(error.message.includes(JSON.stringify(named).slice(1, -1)) && error.message.includes(digestOf(tar)), `${what}: ${error.message}`);
      return true;
    });
    assert.equal(store.images.hasLayer(digestOf(tar)), false);
  }
  for (const name of ['snapshots', 'temporary', 'layers']) assert.deepEqual(readdirSync(join(store.folder, name)), [], name);
});

test('importLayer() leaves nothing of a cut-off or damaged tar', { skip }, async () => {
  await using store = await openTestImageStore();
  const tar = testTar([{ path: 'a', content: 'x'.repeat(100_000) }]);
  await assert.rejects(store.images.importLayer(Readable.from([tar.subarray(0, 50_000)]), signal), code('invalid'));
  await assert.rejects(store.images.importLayer(Readable.from([Buffer.alloc(1024, 'no tar ')]), signal), code('invalid'));
  const broken = async function* (): AsyncGenerator<Buffer> {
    yield tar.subarray(0, 1024);
    throw new Error('connection reset');
  };
  await assert.rejects(store.images.importLayer(Readable.from(broken()), signal));
  assert.deepEqual([readdirSync(join(store.folder, 'snapshots')), readdirSync(join(store.folder, 'blobs/uploads'))], [[], []]);
});

test('commitLayer() makes a layer of an upper folder that unpacks to the same tree', { skip }, async () => {
  await using store = await openTestImageStore();
  await using other = await openTestImageStore();
  const upper = join(store.folder, 'upper');
  mkdirSync(join(upper, 'etc'), { recursive: true });
  writeFileSync(join(upper, 'etc/new'), 'new');
  writeFileSync(join(upper, 'etc/big'), Buffer.alloc(300_000, 7));
  symlinkSync('new', join(upper, 'etc/link'));
  execFileSync('ln', [join(upper, 'etc/new'), join(upper, 'hard')]);
  makeNode(join(upper, 'etc/gone'), 0o020000, 0, 0);
  setXattr(join(upper, 'etc'), 'trusted.overlay.opaque', Buffer.from('y'));
  setXattr(join(upper, 'etc'), 'trusted.overlay.impure', Buffer.from('y'));
  const layer = await store.images.commitLayer(upper, signal);
  assert.ok(layer !== undefined);
  assert.equal(layer.sizeBytes, 300_003);
  const id = await store.images.createImage(testConfig([layer.diffId]), ['built:1'], signal);
  const archive = new PassThrough();
  const saved = buffer(archive);
  await store.images.save(['built:1'], archive, signal);
  const [loaded] = await other.images.load(Readable.from([await saved]), {}, signal);
  assert.deepEqual([loaded?.image.id, loaded?.references], [id, ['docker.io/library/built:1']]);
  const listing = (root: string): string => execFileSync('find', ['.', '-mindepth', '1', '-printf', '%p %y %m %U %G %s %n %l\n'], { cwd: root }).toString().split('\n').toSorted().join('\n');
  const [[mine = ''], [theirs = '']] = [store.images.layerFolders([layer.diffId]), other.images.layerFolders([layer.diffId])];
  assert.equal(listing(theirs), listing(mine));
  assert.deepEqual([isWhiteout(join(theirs, 'etc/gone')), isOpaque(join(theirs, 'etc'))], [true, true]);
  mkdirSync(upper);
  assert.equal(await store.images.commitLayer(upper, signal), undefined);
});

test('images, names and layers survive a restart; debris does not', { skip }, async () => {
  await using store = await openTestImageStore();
  const id = await createTestImage(store.images, 'app:1', [[{ path: 'a', content: 'a' }], [{ path: 'b', content: 'bb' }]], { Env: ['A=1'] });
  mkdirSync(join(store.folder, 'snapshots/0123456789abcdef01234567'));
  mkdirSync(join(store.folder, 'temporary/half'));
  const images = await store.reopen();
  const image = images.get('app:1');
  assert.deepEqual([image.id, image.references, image.sizeBytes, image.config.config?.Env], [id, ['docker.io/library/app:1'], 3, ['A=1']]);
  assert.deepEqual((await images.openRootfs('app:1', signal)).layerFolders.map((folder) => readdirSync(folder)), [['a'], ['b']]);
  assert.deepEqual([readdirSync(join(store.folder, 'snapshots')).length, readdirSync(join(store.folder, 'temporary'))], [2, []]);
});

test('an image that lost a layer is dropped at start', { skip }, async () => {
  await using store = await openTestImageStore();
  await createTestImage(store.images, 'broken:1', [[{ path: 'a', content: 'a' }]]);
  await createTestImage(store.images, 'whole:1', [[{ path: 'b', content: 'b' }]]);
  const [folder = ''] = store.images.layerFolders(store.images.get('broken:1').layers);
  rmSync(folder, { recursive: true });
  const images = await store.reopen();
  assert.deepEqual(images.list().map(({ references }) => references[0]), ['docker.io/library/whole:1']);
});

test('find() knows references, ids and prefixes', { skip }, async () => {
  await using store = await openTestImageStore();
  const id = await createTestImage(store.images, '127.0.0.1:5000/team/app:v1', [[{ path: 'a' }]]);
  const hex = id.slice(7);
  for (const name of ['127.0.0.1:5000/team/app:v1', id, hex, hex.slice(0, 12), `sha256:${hex.slice(0, 4)}`]) assert.equal(store.images.find(name)?.id, id, name);
  for (const name of ['team/app:v1', '127.0.0.1:5000/team/app', hex.slice(0, 3), 'UPPER', '', `${hex}0`]) assert.equal(store.images.find(name), undefined, name);
  assert.throws(() => store.images.get('nope'), code('not-found'));
});

test('createImage() refuses layers that are not here and names with a digest', { skip }, async () => {
  await using store = await openTestImageStore();
  const missing = `sha256:${'0'.repeat(64)}` as Digest;
  await assert.rejects(store.images.createImage(testConfig([missing]), [], signal), code('not-found'));
  await assert.rejects(store.images.createImage(testConfig([]), [`app@${missing}`], signal), code('invalid'));
  assert.deepEqual(store.images.list(), []);
});

test('tag() moves a name; the image that had it stays without', { skip }, async () => {
  await using store = await openTestImageStore();
  const first = await createTestImage(store.images, 'app:1', [[{ path: 'a' }]]);
  const second = await createTestImage(store.images, 'app:2', [[{ path: 'b' }]]);
  await store.images.tag('app:2', 'app:1');
  assert.equal(store.images.get('app:1').id, second);
  assert.deepEqual([store.images.get(first).references, store.images.get(second).references], [[], ['docker.io/library/app:1', 'docker.io/library/app:2']]);
  await assert.rejects(store.images.tag('missing', 'x'), code('not-found'));
});

test('remove() takes names, then the image and the layers nobody else needs', { skip }, async () => {
  await using store = await openTestImageStore();
  const { images } = store;
  const shared: TestMember[] = [{ path: 'shared', content: 's' }];
  const one = await createTestImage(images, 'one:1', [shared, [{ path: 'one', content: '1' }]]);
  const two = await createTestImage(images, 'two:1', [shared, [{ path: 'two', content: '2' }]]);
  const [sharedLayer, twoLayer] = images.get(two).layers;
  await images.tag('two:1', 'other:1');
  await assert.rejects(images.remove(two, { isForced: false }, signal), code('conflict'));
  assert.deepEqual(await images.remove('other:1', { isForced: false }, signal), [{ untagged: 'other:1' }]);
  assert.deepEqual(await images.remove('two:1', { isForced: false }, signal), [{ untagged: 'two:1' }, { deleted: two }, { deleted: twoLayer }]);
  assert.deepEqual([images.find(two), images.hasLayer(sharedLayer as Digest), images.get('one:1').id], [undefined, true, one]);
  await images.remove(one.slice(7, 19), { isForced: false }, signal);
  assert.deepEqual([images.list(), images.layersBytes(), readdirSync(join(store.folder, 'snapshots'))], [[], 0, []]);
  for await (const shard of readdirSync(join(store.folder, 'blobs/sha256'))) assert.deepEqual(readdirSync(join(store.folder, 'blobs/sha256', shard)), []);
});

test('remove() keeps what containers, holds and caches use', { skip }, async () => {
  await using store = await openTestImageStore();
  const { images } = store;
  const id = await createTestImage(images, 'app:1', [[{ path: 'a' }], [{ path: 'b' }]]);
  const layers = images.get(id).layers;
  const using1 = images.addUsers({ usersOf: (image) => (image === id ? [{ containerId: '0123456789abcdef', isRunning: true }] : []), layers: () => [] });
  await assert.rejects(images.remove('app:1', { isForced: false }, signal), (error) => isError(error, 'conflict') && error.message.includes('0123456789ab'));
  await assert.rejects(images.remove(id, { isForced: true }, signal), (error) => isError(error, 'conflict') && error.message.includes('cannot be forced'));
  assert.deepEqual(await images.remove('app:1', { isForced: true }, signal), [{ untagged: 'app:1' }]);
  assert.deepEqual(images.get(id).references, []);
  using1[Symbol.dispose]();
  images.addUsers({ usersOf: () => [], layers: () => layers.slice(0, 1) });
  const hold = images.holdLayers(layers.slice(1));
  await images.remove(id, { isForced: false }, signal);
  assert.deepEqual(layers.map((layer) => images.hasLayer(layer)), [true, true]);
  hold[Symbol.dispose]();
});

test('prune() removes images without names, or all that are unused', { skip }, async () => {
  await using store = await openTestImageStore();
  const { images } = store;
  const old = await createTestImage(images, 'app:1', [[{ path: 'a', content: 'aaa' }]]);
  await createTestImage(images, 'app:1', [[{ path: 'b', content: 'bb' }]]);
  const used = await createTestImage(images, 'used:1', [[{ path: 'c', content: 'c' }]]);
  images.addUsers({ usersOf: (id) => (id === used ? [{ containerId: 'c1', isRunning: false }] : []), layers: () => [] });
  const dangling = await images.prune({ onlyDangling: true }, signal);
  assert.deepEqual([dangling.removed[0], dangling.freedBytes], [{ deleted: old }, 3]);
  assert.equal((await images.prune({ onlyDangling: false }, signal)).freedBytes, 2);
  assert.deepEqual(images.list().map(({ id }) => id), [used]);
});

test('ImageCollector removes old images without a tag that nobody uses', { skip }, async () => {
  await using store = await openTestImageStore();
  const { images } = store;
  const old = await createTestImage(images, 'app:1', [[{ path: 'a', content: 'aaa' }]]);
  const used = await createTestImage(images, 'app:1', [[{ path: 'b', content: 'bb' }]]);
  const tagged = await createTestImage(images, 'app:1', [[{ path: 'c', content: 'c' }]]);
  images.addUsers({ usersOf: (id) => (id === used ? [{ containerId: 'c1', isRunning: false }] : []), layers: () => [] });
  const collector = new ImageCollector(images, { unnamedGraceMs: 60_000 }, silentLogger());
  assert.equal(await collector.collect(Date.now(), signal), 0);
  assert.equal(await collector.collect(Date.now() + 60_000, signal), 3);
  assert.deepEqual([images.find(old), images.get(used).id, images.get('app:1').id], [undefined, used, tagged]);
});

test('load() reads what GNU tar and gzip make of a docker-archive, and refuses what is none', { skip }, async () => {
  await using store = await openTestImageStore();
  const layer = testTar([{ path: 'hello', content: 'hello' }]);
  const config = Buffer.from(JSON.stringify(testConfig([digestOf(layer)])));
  const manifest = (layers: string[]): TestMember => ({ path: 'manifest.json', content: JSON.stringify([{ Config: 'config.json', RepoTags: ['hello:1'], Layers: layers }]) });
  const archive = testTar([{ path: 'x/layer.tar', content: layer }, { path: 'y/' }, { path: 'y/layer.tar', type: 'symlink', linkPath: '../x/layer.tar' }, { path: 'config.json', content: config }, manifest(['y/layer.tar'])]);
  const zipped = execFileSync('gzip', ['-c'], { input: archive });
  const [loaded] = await store.images.load(Readable.from([zipped]), {}, signal);
  assert.deepEqual([loaded?.image.id, loaded?.image.sizeBytes], [digestOf(config), 5]);
  const wrong = [
    testTar([{ path: 'x', content: 'y' }]),
    testTar([{ path: 'config.json', content: config }, manifest(['missing/layer.tar'])]),
    testTar([{ path: 'l', content: testTar([{ path: 'other' }]) }, { path: 'config.json', content: JSON.stringify(testConfig([digestOf(Buffer.from('no'))])) }, manifest(['l'])]),
    testTar([{ path: 'config.json', content: '{}' }, manifest([])]),
    Buffer.from('not a tar'),
  ];
  for (const bytes of wrong) await assert.rejects(store.images.load(Readable.from([bytes]), {}, signal), code('invalid'));
});
