import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isError } from '../../kernel/mod.ts';
import type { ResolvedMount } from '../bundle/mounts.ts';
import { checkRootfs, checkWorkingDir, systemMountRefusal } from './guarded-paths.ts';

/** A root file system with links: name → target. */
function withRootfs<T>(links: Readonly<Record<string, string>>, work: (rootfs: string) => T): T {
  const rootfs = mkdtempSync(join(tmpdir(), 'gantry-rootfs-'));
  try {
    for (const name of ['dev', 'proc', 'sys', 'etc', 'data']) mkdirSync(join(rootfs, name));
    for (const [name, target] of Object.entries(links)) {
      rmSync(join(rootfs, name), { recursive: true, force: true });
      symlinkSync(target, join(rootfs, name));
    }
    return work(rootfs);
  } finally {
    rmSync(rootfs, { recursive: true });
  }
}

const bind = (target: string, source: string): ResolvedMount => ({ type: 'bind', source, target, isReadOnly: false, propagation: 'rprivate', isRecursive: true });

test('systemMountRefusal() guards what the runtime works with, however it is written, and lets a host folder be itself', () => {
  for (const target of ['/dev', '/dev/', '//dev', '/dev/.', '/x/../dev', '/dev/null', '/dev/console', '/dev/pts', '/dev/ptmx', '/proc', '/proc/', '/sys', '/etc/../proc/.']) {
    for (const type of ['volume', 'tmpfs', 'bind'] as const) assert.ok(systemMountRefusal({ type, target, source: '/srv' }), `${type} ${target}`);
  }
  for (const target of ['/dev/shm', '/dev/mqueue', '/dev/net/tun', '/devices', '/data/dev', '/proc2', '/sys/fs/cgroup', '/processes']) assert.equal(systemMountRefusal({ type: 'volume', target }), undefined, target);
  for (const path of ['/dev', '/sys', '/dev/null']) assert.equal(systemMountRefusal({ type: 'bind', source: `${path}/`, target: path }), undefined, path);
});

test('checkRootfs() refuses links in place of the system’s folders, and mounts that lead there', () => {
  for (const name of ['dev', 'proc', 'sys']) withRootfs({ [name]: '/data' }, (rootfs) => assert.throws(() => checkRootfs(rootfs, [], '/'), { code: 'invalid', message: new RegExp(`/${name}`) }));
  const links = { toDev: '/dev', climb: '../../dev', chain: 'toDev', null: '/dev/null', toData: 'data' };
  withRootfs(links, (rootfs) => {
    for (const target of ['/toDev', '/climb', '/chain', '/toDev/console', '/null', '/toData/../toDev']) assert.throws(() => checkRootfs(rootfs, [bind(target, '/srv')], '/'), { code: 'invalid' }, target);
    for (const target of ['/toData', '/toData/x', '/toDev/shm', '/new/folder']) checkRootfs(rootfs, [bind(target, '/srv')], '/');
  });
});

test('checkRootfs() follows links of the mount that another lies in', () => {
  withRootfs({}, (rootfs) => withRootfs({ a: '/dev', b: 'c', c: '../dev', d: 'e/f', e: '/v/g', g: '/data', loop: 'loop', fine: '/data' }, (volume) => {
    const volumeAt = bind('/v', volume);
    for (const target of ['/v/a', '/v/b', '/v/c', '/v/a/null', '/v/loop']) assert.throws(() => checkRootfs(rootfs, [volumeAt, bind(target, '/srv')], '/'), { code: 'invalid' }, target);
    for (const target of ['/v/fine', '/v/d', '/v/new', '/v/a/shm']) checkRootfs(rootfs, [volumeAt, bind(target, '/srv')], '/');
  }));
});

test('checkWorkingDir() refuses descriptors of processes, by name and by links', () => {
  withRootfs({ w: '/proc/self/fd/7', x: 'w', y: '/../../proc/1/cwd', z: '/data' }, (rootfs) => {
    for (const folder of ['/proc/self/fd/7', '/proc/1/root', '/proc/thread-self/cwd', '//proc//self/fd/3', '/data/../proc/self/fd/8', '/w', '/x', '/y', '/w/../../..']) {
      if (folder === '/w/../../..') checkWorkingDir(rootfs, folder);
      else assert.throws(() => checkWorkingDir(rootfs, folder), (error) => isError(error, 'invalid'), folder);
    }
    for (const folder of ['/', '', '/z', '/proc', '/proc/sys', '/made/later']) checkWorkingDir(rootfs, folder);
  });
});

test('checkWorkingDir() and systemMountRefusal() see through any way to write a path', () => {
  const noise = fc.constantFrom('/', '//', '/./', '/x/../', '/.//');
  fc.assert(
    fc.property(noise, noise, noise, fc.constantFrom('self', '1', '4711', 'thread-self'), (a, b, c, process) => {
      withRootfs({}, (rootfs) => assert.throws(() => checkWorkingDir(rootfs, `${a}proc${b}${process}${c}fd/3`), { code: 'invalid' }));
      assert.ok(systemMountRefusal({ type: 'volume', target: `${a}dev${b}null` }));
    }),
    { numRuns: 50 },
  );
});
