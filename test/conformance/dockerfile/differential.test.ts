import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openTemporaryBuild, runBuild } from '../../../src/builder/testing/temporary-build.ts';
import { baseEnv, runCommand } from '../../../src/kernel/mod.ts';
import { comparable, ignored, type Vector, vectors, writeContext } from './differential-vectors.ts';

const needs = { skip: reasonToSkip() };
const limit = (): AbortSignal => AbortSignal.timeout(120_000);

function reasonToSkip(): string | false {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync('/bin/busybox')) return 'needs busybox-static';
  return existsSync('/usr/bin/buildah') ? false : 'compares with buildah, which is not installed';
}

for (const vector of vectors) {
  test(`Builder.build() and buildah make the same tree and configuration: ${vector.name}`, needs, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gantry-differential-'));
    await using stack = new AsyncDisposableStack();
    stack.defer(() => rmSync(folder, { recursive: true, force: true }));
    const context = join(folder, 'context');
    await writeContext(vector, context, limit());
    const theirs = await buildWithBuildah(folder, context, vector, stack);
    await using build = await openTemporaryBuild();
    await runBuild(build.builder, { contextFolder: context, buildArgs: vector.buildArgs ?? {} }, limit());
    const { config } = await build.runtime.resolveImage('built');
    await using tree = await build.runtime.openTree(config.rootfs.diff_ids, limit());
    const compared = (found: Record<string, string>): object => Object.fromEntries(Object.entries(found).filter(([path]) => vector.otherInBuildah?.includes(path) !== true));
    assert.deepEqual(compared(describe(tree.rootPath)), compared(theirs.tree));
    assert.deepEqual(comparable(config.config ?? {}), comparable(theirs.config));
  });
}

async function buildWithBuildah(folder: string, context: string, { buildArgs = {} }: Vector, stack: AsyncDisposableStack): Promise<{ tree: Record<string, string>; config: Record<string, unknown> }> {
  for (const name of ['root', 'run', 'tmp']) mkdirSync(join(folder, name));
  const buildah = async (args: readonly string[]): Promise<string> => {
    const flags = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run'), '--storage-driver', 'overlay'];
    return (await runCommand('buildah', [...flags, ...args], { env: { ...baseEnv(), TMPDIR: join(folder, 'tmp'), XDG_RUNTIME_DIR: join(folder, 'tmp') } }, limit())).stdout.trim();
  };
  const args = Object.entries(buildArgs).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]);
  await buildah(['bud', '-q', '--format', 'docker', '--isolation', 'chroot', '--network', 'host', ...args, '-t', 'built', context]);
  const { Docker } = JSON.parse(await buildah(['inspect', '--type', 'image', 'built'])) as { Docker: { config: Record<string, unknown> } };
  const container = await buildah(['from', '--pull-never', 'built']);
  stack.defer(async () => void (await buildah(['rm', container])));
  return { tree: describe(await buildah(['mount', container])), config: Docker.config };
}

/** Path → everything that both must agree on; times only of what was copied from the context with a time of its own. */
function describe(root: string): Record<string, string> {
  const found: Record<string, string> = {};
  const names = new Map<string, string>();
  const walk = (folder: string): void => {
    for (const name of readdirSync(join(root, folder)).toSorted()) {
      const path = folder === '' ? name : `${folder}/${name}`;
      if (ignored.test(path)) continue;
      const full = join(root, path);
      const stats = lstatSync(full);
      const inode = `${stats.dev}:${stats.ino}`;
      const linked = stats.isFile() && stats.nlink > 1 ? (names.get(inode) ?? path) : '';
      if (linked !== '') names.set(inode, linked);
      const content = stats.isFile() ? createHash('sha256').update(readFileSync(full)).digest('hex').slice(0, 12) : stats.isSymbolicLink() ? readlinkSync(full) : '';
      const time = stats.isFile() && stats.mtimeMs < 1_100_000_000_000 ? stats.mtimeMs / 1000 : '';
      found[path] = [stats.isSymbolicLink() ? 'link' : stats.mode.toString(8), stats.uid, stats.gid, content, linked, time].join(' ');
      if (stats.isDirectory()) walk(path);
    }
  };
  walk('');
  return found;
}
