import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runBuild, openTemporaryBuild, writeFiles } from '../../../src/builder/testing/temporary-build.ts';
import { baseEnv, runCommand } from '../../../src/kernel/mod.ts';

const needs = { skip: reasonToSkip() };
const limit = (): AbortSignal => AbortSignal.timeout(120_000);

function reasonToSkip(): string | false {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync('/bin/busybox')) return 'needs busybox-static';
  return existsSync('/usr/bin/buildah') ? false : 'compares with buildah, which is not installed';
}

/** Begins with the same programs everywhere, without a base image. */
const base = `FROM scratch AS base
COPY busybox /bin/sh
ENV PATH=/bin
RUN for name in mkdir rm rmdir ln chmod chown mv mkfifo true echo cat; do ln -s sh /bin/$name; done && mkdir -p /etc /tmp && echo 'root:x:0:0::/:/bin/sh' > /etc/passwd && echo 'app:x:500:501::/:/bin/sh' >> /etc/passwd && echo 'staff:x:50:' > /etc/group
`;

interface Vector {
  readonly name: string;
  readonly dockerfile: string;
  readonly files: Record<string, string>;
  readonly prepare?: (context: string) => void;
  readonly buildArgs?: Record<string, string>;
}

const vectors: readonly Vector[] = [
  {
    name: 'COPY: folders, wildcards, owners, modes, links, stages',
    dockerfile: `${base}FROM base AS made
RUN mkdir -p /out/deep && echo made > /out/deep/file && ln -s deep/file /out/link && chmod 4711 /out/deep/file
FROM base
WORKDIR /work
COPY src here/
COPY src/*.txt /texts/
COPY src/one.txt /renamed.txt
COPY --chown=app:staff src/one.txt /owned/
COPY --chown=7 --chmod=640 src/two.txt /numbered
COPY --from=made /out /from/
COPY empty /empty
COPY .hidden ./
`,
    files: { 'src/one.txt': '1', 'src/two.txt': '22', 'src/sub/three': '333', 'empty/': '', '.hidden': 'h', 'src/run.sh': '#!/bin/sh\n' },
    prepare: (context) => {
      chmodSync(join(context, 'src/run.sh'), 0o755);
      symlinkSync('one.txt', join(context, 'src/link'));
      symlinkSync('/nowhere', join(context, 'src/dangling'));
      linkSync(join(context, 'src/one.txt'), join(context, 'src/hard'));
      utimesSync(join(context, 'src/two.txt'), 1_000_000_000, 1_000_000_000);
    },
  },
  {
    name: 'RUN: deletions, replacements, modes, hard links',
    dockerfile: `${base}RUN mkdir -p /d/keep /d/gone /d/opaque && echo 1 > /d/keep/a && echo 2 > /d/gone/b && echo 3 > /d/opaque/c && ln /d/keep/a /d/keep/hard
RUN rm -r /d/gone && rm -r /d/opaque && mkdir /d/opaque && echo 4 > /d/opaque/new && chmod 2750 /d/keep && chown 5:6 /d/keep/a
RUN mv /d/keep /d/moved && ln -s moved /d/keep && mkfifo /d/pipe
`,
    files: {},
  },
  {
    name: 'ADD unpacks archives, COPY does not',
    dockerfile: `${base}ADD archive.tar.gz /unpacked/
COPY archive.tar.gz /packed/
ADD plain.txt /
`,
    files: { 'plain.txt': 'p', 'in/a': 'a', 'in/b/c': 'c' },
    prepare: (context) => {
      mkdirSync(join(context, 'in/empty'));
    },
  },
  {
    name: 'configuration of every instruction',
    dockerfile: `${base}ARG NAME=world UNSET
ENV A="hello $NAME" B=\${UNSET:-fallback} C=x\\ y
LABEL one=1 "two three"="four five"
LABEL six=\${NAME}
EXPOSE 8080 53/udp
VOLUME /data /more
USER app:staff
WORKDIR /first
WORKDIR second
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --timeout=2s --retries=3 CMD ["true"]
ENTRYPOINT ["/bin/echo"]
CMD ["a", "b c"]
`,
    files: {},
    buildArgs: { NAME: 'gantry' },
  },
  {
    name: '.dockerignore with exceptions',
    dockerfile: `${base}COPY . /all/\n`,
    files: { '.dockerignore': '*.log\nnode_modules\n**/cache\n!keep.log\n.dockerignore\nDockerfile*\n', 'a.log': '', 'keep.log': 'k', 'sub/a.log': 'deep', 'node_modules/x': '', 'sub/node_modules/y': 'y', 'sub/cache/z': '', cache: '' },
  },
];

/** What only one of the builders leaves, and no Dockerfile asked for. */
const ignored = /^(?:dev|proc|sys|run|etc\/(?:hosts|resolv\.conf|hostname|mtab))(?:\/|$)/;

for (const vector of vectors) {
  test(`Builder.build() and buildah make the same tree and configuration: ${vector.name}`, needs, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gantry-differential-'));
    await using stack = new AsyncDisposableStack();
    stack.defer(() => rmSync(folder, { recursive: true, force: true }));
    const context = join(folder, 'context');
    writeFiles(context, { ...vector.files, Dockerfile: vector.dockerfile });
    copyFileSync('/bin/busybox', join(context, 'busybox'));
    vector.prepare?.(context);
    if (existsSync(join(context, 'in'))) await runCommand('tar', ['-czf', join(context, 'archive.tar.gz'), '--mtime=@1000000000', '--numeric-owner', '--owner=3', '--group=4', '-C', join(context, 'in'), '.'], {}, limit());
    const theirs = await buildWithBuildah(folder, context, vector, stack);
    await using build = await openTemporaryBuild();
    await runBuild(build.builder, { contextFolder: context, buildArgs: vector.buildArgs ?? {} }, limit());
    const { config } = await build.runtime.resolveImage('built');
    await using tree = await build.runtime.openTree(config.rootfs.diff_ids, limit());
    assert.deepEqual(describe(tree.rootPath), theirs.tree);
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

function comparable(config: object): Record<string, unknown> {
  const { Env, Cmd, Entrypoint, WorkingDir, User, Labels, ExposedPorts, Volumes, StopSignal, Healthcheck, Shell, OnBuild } = config as Record<string, unknown>;
  const labels = Object.fromEntries(Object.entries((Labels ?? {}) as Record<string, string>).filter(([name]) => !name.startsWith('io.buildah.')));
  const fields = { Env, Cmd, Entrypoint, WorkingDir: WorkingDir === '/' ? '' : WorkingDir, User, Labels: labels, ExposedPorts, Volumes, StopSignal, Healthcheck, Shell, OnBuild };
  // What is empty and what is missing mean the same.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null && value !== '' && !(typeof value === 'object' && Object.keys(value).length === 0)));
}
