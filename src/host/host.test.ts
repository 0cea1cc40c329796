import assert from 'node:assert/strict';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isError, randomHex } from '../kernel/mod.ts';
import { spreadFolders } from './folders.ts';
import { LinkTable, removeLink } from './links.ts';
import { readMounts, unmountBelow } from './mounts.ts';
import { nameHost, pinNamespaces, unpinNamespace, withinNamespaces } from './namespaces.ts';
import { deleteTable, openNftables, openNftProgram, tablesWithPrefix } from './nftables.ts';
import { mountOverlay } from './overlay.ts';
import { getXattr, makeNode, setXattr } from './syscalls.ts';
import { rootNeeds } from './testing/root.ts';

const skip = rootNeeds('nft');

test('spreadFolders() changes nothing that programs see, again and again, on every file system', { skip }, () => {
  for (const parent of [tmpdir(), '/dev/shm', '/proc/self/task']) {
    const folder = parent.startsWith('/proc') ? parent : mkdtempSync(join(parent, 'gantry-host-'));
    spreadFolders(folder);
    spreadFolders(folder);
    if (folder === parent) continue;
    mkdirSync(join(folder, 'a'));
    writeFileSync(join(folder, 'a/file'), 'x');
    assert.equal(readFileSync(join(folder, 'a/file'), 'utf8'), 'x');
    rmSync(folder, { recursive: true });
  }
  assert.throws(() => spreadFolders('/nowhere'), (error) => (error as NodeJS.ErrnoException).code === 'ENOENT');
});

test('pinNamespaces() leaves this thread where it was and the namespaces in place', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-host-'));
  const files = { net: join(folder, 'net'), uts: join(folder, 'uts'), ipc: join(folder, 'ipc') };
  const before = hostname();
  try {
    pinNamespaces(files, () => nameHost('inside'));
    assert.equal(hostname(), before);
    assert.equal(withinNamespaces({ uts: files.uts }, () => hostname()), 'inside');
    assert.deepEqual(withinNamespaces({ net: files.net }, () => readFileSync('/proc/thread-self/net/dev', 'utf8').match(/\w+(?=:)/g)), ['lo']);
    assert.ok(readFileSync('/proc/thread-self/net/dev', 'utf8').split('\n').length >= 3);
    assert.throws(() => withinNamespaces({ net: files.net }, () => assert.fail('thrown inside')), /thrown inside/);
    assert.equal(hostname(), before);
  } finally {
    for (const file of Object.values(files)) unpinNamespace(file);
    assert.deepEqual(unmountBelow(folder), []);
    rmSync(folder, { recursive: true });
  }
});

test('LinkTable joins a namespace to a bridge by a veth pair', { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-host-'));
  const id = randomHex(3);
  const net = join(folder, 'net');
  using links = LinkTable.open();
  try {
    links.createBridge(`gt${id}`);
    assert.throws(() => links.createBridge(`gt${id}`), (error) => isError(error, 'already-exists'));
    const bridge = links.find(`gt${id}`);
    assert.ok(bridge);
    links.setUp(bridge.index);
    links.addAddress(bridge.index, '203.0.113.1', 30);
    links.addAddress(bridge.index, '203.0.113.1', 30);
    pinNamespaces({ net });
    const namespaceFd = openSync(net, 'r');
    links.createVeth(`gv${id}`, bridge.index, { name: 'eth0', macAddress: '02:42:cb:00:71:02', namespaceFd });
    closeSync(namespaceFd);
    assert.equal(links.find(`gv${id}`)?.masterIndex, bridge.index);
    const inside = withinNamespaces({ net }, () => {
      using own = LinkTable.open();
      const eth0 = own.find('eth0');
      assert.ok(eth0);
      own.setUp(eth0.index);
      own.addAddress(eth0.index, '203.0.113.2', 32);
      own.setDefaultRoute(eth0.index, '203.0.113.1', true);
      return { mac: eth0.macAddress, hasAddress: readFileSync('/proc/thread-self/net/fib_trie', 'utf8').includes('203.0.113.2'), routes: readFileSync('/proc/thread-self/net/route', 'utf8').split('\n').length - 2 };
    });
    assert.deepEqual(inside, { mac: '02:42:cb:00:71:02', hasAddress: true, routes: 1 });
    assert.equal(await removeLink(`gv${id}`), true);
    assert.equal(await removeLink(`gv${id}`), false);
  } finally {
    unpinNamespace(net);
    await removeLink(`gt${id}`);
    rmSync(folder, { recursive: true });
  }
});

for (const [name, open] of [['libnftables', openNftables], ['the nft program', openNftProgram]] as const) {
  test(`Nftables over ${name} applies all or nothing and lists JSON`, { skip }, () => {
    using nftables = open();
    const table = `gantry-test-${randomHex(4)}`;
    try {
      nftables.apply(`add table ip ${table}\nadd chain ip ${table} c\nadd rule ip ${table} c ip daddr 192.0.2.1 counter drop`);
      assert.deepEqual(tablesWithPrefix(nftables, table), [{ family: 'ip', name: table }]);
      assert.throws(() => nftables.apply(`add chain ip ${table} d\nadd rule ip ${table} c nonsense`), (error) => isError(error, 'invalid'));
      const chains = nftables.list(`list table ip ${table}`).flatMap((item) => ('chain' in item ? [item.chain as { name: string }] : []));
      assert.deepEqual(chains.map((chain) => chain.name), ['c']);
    } finally {
      nftables.apply(deleteTable('ip', table));
    }
    assert.throws(() => nftables.list(`list table ip ${table}`), (error) => isError(error, 'not-found'));
    nftables.apply(deleteTable('ip', table));
  });
}

test('openNftables() refuses to be used after it was closed, and closes once', { skip }, () => {
  const nftables = openNftables();
  nftables[Symbol.dispose]();
  nftables[Symbol.dispose]();
  assert.throws(() => nftables.list('list tables'), (error) => isError(error, 'internal'));
});

test('mountOverlay() merges layers, and shortens lists that do not fit a page', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-host-'));
  const make = (name: string): string => {
    const path = join(folder, name);
    mkdirSync(path, { recursive: true });
    return path;
  };
  try {
    const lowerFolders = Array.from({ length: 60 }, (_, index) => make(`layer-${index}-${'x'.repeat(100)}`));
    lowerFolders.forEach((layer, index) => writeFileSync(join(layer, 'which'), String(index)));
    writeFileSync(join(lowerFolders[59] ?? '', 'bottom'), '');
    const target = make('merged');
    mountOverlay({ lowerFolders, upperFolder: make('upper'), workFolder: make('work'), target, isVolatile: false, linkFolder: make('l') });
    assert.equal(readFileSync(join(target, 'which'), 'utf8'), '0');
    rmSync(join(target, 'bottom'));
    assert.equal(statSync(join(folder, 'upper/bottom')).isCharacterDevice(), true);
    assert.deepEqual(readMounts().filter((mount) => mount.target === target).map(({ type }) => type), ['overlay']);
  } finally {
    unmountBelow(folder);
    rmSync(folder, { recursive: true });
  }
});

test('setXattr() and makeNode() make what overlayfs and layers need', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-host-'));
  try {
    assert.equal(getXattr(folder, 'trusted.overlay.opaque'), undefined);
    setXattr(folder, 'trusted.overlay.opaque', Buffer.from('y'));
    assert.equal(getXattr(folder, 'trusted.overlay.opaque')?.toString(), 'y');
    makeNode(join(folder, 'whiteout'), 0o020000, 0, 0);
    assert.equal(statSync(join(folder, 'whiteout')).rdev, 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
