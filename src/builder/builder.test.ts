import assert from 'node:assert/strict';
import { chmodSync, existsSync, lstatSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ImageConfig } from '../api/mod.ts';
import { GantryError, isError, pollUntil } from '../kernel/mod.ts';
import { untrustedCache } from './cache/cache-access.ts';
import { openTemporaryBuild, runBuild, type TemporaryBuild, writeFiles } from './testing/temporary-build.ts';

const needsRoot = { skip: process.getuid?.() === 0 && existsSync('/bin/busybox') ? false : 'needs root and busybox-static' };

async function openBase(): Promise<TemporaryBuild> {
  const build = await openTemporaryBuild();
  await build.runtime.addBusybox('base', { 'etc/passwd': 'root:x:0:0::/root:/bin/sh\napp:x:500:501::/:/bin/sh\n', 'etc/group': 'root:x:0:\nstaff:x:50:\n', 'tmp/keep': '' }, { Env: ['PATH=/bin', 'BASE=1'], Cmd: ['sh'], Labels: { from: 'base' } });
  return build;
}

async function imageOf(build: TemporaryBuild, name = 'built'): Promise<{ config: ImageConfig; files: Record<string, string> }> {
  const { config } = await build.runtime.resolveImage(name);
  const files = await build.runtime.contents(config.rootfs.diff_ids);
  return { config, files: Object.fromEntries(Object.entries(files).filter(([path]) => !/^(?:bin|etc|tmp)(?:\/|$)/.test(path))) };
}

test('Builder.build() runs every instruction and describes the image', needsRoot, async () => {
  await using build = await openBase();
  const Dockerfile = `
ARG TAG=base
FROM \${TAG}
ARG NAME=world
ENV GREETING="hello $NAME" OTHER=x
LABEL a=1 "b.c"="two words"
WORKDIR /app
COPY src/ ./src/
ADD note.txt /notes/
RUN echo "$GREETING $BASE" > out.txt
USER app
EXPOSE 8080 53/udp
ENTRYPOINT ["/bin/cat"]
CMD ["out.txt"]
`;
  const { output } = await build.build({ Dockerfile, 'src/a.txt': 'A', 'src/deep/b.txt': 'B', 'note.txt': 'N' }, { buildArgs: { NAME: 'gantry' }, labels: { given: 'yes' } });
  const { config, files } = await imageOf(build);
  assert.deepEqual(files, {
    app: 'folder',
    'app/out.txt': 'hello gantry 1\n',
    'app/src': 'folder',
    'app/src/a.txt': 'A',
    'app/src/deep': 'folder',
    'app/src/deep/b.txt': 'B',
    notes: 'folder',
    'notes/note.txt': 'N',
  });
  assert.deepEqual(config.config, {
    Cmd: ['out.txt'],
    ArgsEscaped: true,
    Entrypoint: ['/bin/cat'],
    Env: ['PATH=/bin', 'BASE=1', 'GREETING=hello gantry', 'OTHER=x'],
    ExposedPorts: { '53/udp': {}, '8080/tcp': {} },
    Labels: { a: '1', 'b.c': 'two words', from: 'base', given: 'yes' },
    User: 'app',
    WorkingDir: '/app',
  });
  assert.deepEqual(config.history?.slice(1).map(({ created_by, empty_layer }) => [created_by, empty_layer === true]), [
    ['ARG NAME=gantry', true],
    ['ENV GREETING=hello gantry OTHER=x', true],
    ['LABEL a=1 b.c=two words', true],
    ['WORKDIR /app', false],
    ['COPY src/ ./src/ # buildkit', false],
    ['ADD note.txt /notes/ # buildkit', false],
    ['RUN |1 NAME=gantry /bin/sh -c echo "$GREETING $BASE" > out.txt # buildkit', false],
    ['USER app', true],
    ['EXPOSE [53/udp 8080/tcp]', true],
    ['ENTRYPOINT ["/bin/cat"]', true],
    ['CMD ["out.txt"]', true],
  ]);
  assert.equal(config.rootfs.diff_ids.length, 5);
  assert.match(output, /^Step 1\/12 : FROM \$\{TAG\}\n ---> [0-9a-f]{12}\nStep 2\/12 : ARG NAME=world\n/);
  assert.match(output, /Successfully built [0-9a-f]{12}\nSuccessfully tagged built:latest\n$/);
});

test('Builder.build() resets an inherited CMD on ENTRYPOINT, unless CMD stands in the stage', needsRoot, async () => {
  await using build = await openBase();
  await build.build({ Dockerfile: 'FROM base\nENTRYPOINT ["x"]\n' });
  assert.equal((await imageOf(build)).config.config?.Cmd, undefined);
  await build.build({ Dockerfile: 'FROM base\nCMD ["y"]\nENTRYPOINT ["x"]\n' });
  assert.deepEqual((await imageOf(build)).config.config?.Cmd, ['y']);
});

test('Builder.build() uses the cache by content, also after a restart', needsRoot, async () => {
  await using build = await openBase();
  const Dockerfile = 'FROM base\nCOPY a.txt /\nRUN cat /a.txt > /copy\nCOPY b.txt /\n';
  const first = await build.build({ Dockerfile, 'a.txt': '1', 'b.txt': '1' });
  assert.equal(first.cachedSteps, 0);
  const same = await build.build({ Dockerfile, 'a.txt': '1', 'b.txt': '1' });
  assert.deepEqual([same.cachedSteps, same.imageId], [3, first.imageId]);
  assert.match(same.output, / ---> Using cache\n/);
  assert.equal((await build.build({ Dockerfile, 'a.txt': '1', 'b.txt': '2' })).cachedSteps, 2);
  assert.equal((await build.build({ Dockerfile, 'a.txt': '2', 'b.txt': '1' })).cachedSteps, 0);
  assert.equal((await build.build({ Dockerfile, 'a.txt': '1', 'b.txt': '1' }, { noCache: true })).cachedSteps, 0);
  const reopened = await build.reopen();
  const again = await runBuild(reopened, { contextFolder: join(build.folder, 'context-1') }, AbortSignal.timeout(60_000));
  assert.equal(again.cachedSteps, 3);
  assert.equal(build.runtime.runs.length, 3);
});

test('Builder.build() takes modes for content and modification times for nothing', needsRoot, async () => {
  await using build = await openBase();
  const Dockerfile = 'FROM base\nCOPY a.sh /\n';
  await build.build({ Dockerfile, 'a.sh': 'x' });
  const context = join(build.folder, 'context-1');
  utimesSync(join(context, 'a.sh'), 1, 1);
  assert.equal((await runBuild(build.builder, { contextFolder: context }, AbortSignal.timeout(60_000))).cachedSteps, 1);
  chmodSync(join(context, 'a.sh'), 0o755);
  assert.equal((await runBuild(build.builder, { contextFolder: context }, AbortSignal.timeout(60_000))).cachedSteps, 0);
});

test('Builder.build() says why a step was not cached', needsRoot, async () => {
  await using build = await openBase();
  const Dockerfile = 'FROM base\nARG V=1\nCOPY src /src\nRUN echo $V > /v\n';
  const reasons = async (files: Record<string, string>, buildArgs = {}): Promise<readonly string[]> => (await build.build({ Dockerfile, ...files }, { buildArgs })).missReasons;
  assert.deepEqual(await reasons({ 'src/a': '1' }), ['this step has not been built here before', 'this step has not been built here before']);
  assert.deepEqual(await reasons({ 'src/a': '1' }), []);
  assert.deepEqual(await reasons({ 'src/a': '2', 'src/b': '1' }), ['file a changed, file b is new', 'step 3 has another result']);
  assert.deepEqual(await reasons({ 'src/a': '2', 'src/b': '1' }, { V: '2' }), ['variable V changed']);
  const { config } = await build.runtime.resolveImage('built');
  build.runtime.removeLayer(config.rootfs.diff_ids.at(-1) ?? assert.fail());
  assert.deepEqual(await reasons({ 'src/a': '2', 'src/b': '1' }, { V: '2' }), ['its layer is no longer in the image store']);
});

test('Builder.build() builds only the stages the target needs, and stops at --target', needsRoot, async () => {
  await using build = await openBase();
  const Dockerfile = `
FROM base AS one
RUN echo 1 > /one
FROM base AS unused
RUN false
FROM one AS two
RUN echo 2 > /two
FROM scratch
COPY --from=two /one /two /out/
COPY --from=0 /one /first
COPY --from=base /tmp/keep /keep
`;
  await build.build({ Dockerfile });
  assert.deepEqual((await imageOf(build)).files, { first: '1\n', keep: '', out: 'folder', 'out/one': '1\n', 'out/two': '2\n' });
  assert.equal(build.runtime.runs.length, 2);
  await build.build({ Dockerfile }, { target: 'one', tags: ['one'] });
  assert.deepEqual((await imageOf(build, 'one')).files, { one: '1\n' });
  await assert.rejects(build.build({ Dockerfile }, { target: 'unused' }), /Dockerfile:5:1: The command '\/bin\/sh -c false' returned a non-zero code: 1/);
  await assert.rejects(build.build({ Dockerfile }, { target: 'nope' }), /has no stage "nope"/);
});

test('Builder.build() runs independent stages at the same time and shows them in order', needsRoot, async () => {
  await using build = await openBase();
  // Each command starts only when the other one has: one after the other they would never end.
  const run = build.runtime.run.bind(build.runtime);
  const bothStarted = Promise.withResolvers<void>();
  let started = 0;
  build.runtime.run = async (tree, process, signal) => {
    started += 1;
    if (started === 2) bothStarted.resolve();
    await bothStarted.promise;
    return run(tree, process, signal);
  };
  const { output } = await build.build({ Dockerfile: 'FROM base AS a\nRUN echo from a > /made\nFROM base AS b\nRUN echo from b > /made\nFROM scratch\nCOPY --from=a /made /a\nCOPY --from=b /made /b\n' });
  assert.deepEqual([...output.matchAll(/^Step (\d)\/7/gm)].map((match) => match[1]), ['1', '2', '3', '4', '5', '6', '7']);
  assert.deepEqual((await imageOf(build)).files, { a: 'from a\n', b: 'from b\n' });
});

test('Builder.build() does equal steps of concurrent builds once', needsRoot, async () => {
  await using build = await openBase();
  const Dockerfile = 'FROM base\nRUN sleep 0.3 && date +%N > /made\n';
  const [one, two] = await Promise.all([build.build({ Dockerfile }, { tags: ['one'] }), build.build({ Dockerfile }, { tags: ['two'] })]);
  assert.equal(one.imageId, two.imageId);
  assert.equal(build.runtime.runs.length, 1);
});

test('Builder.build() leaves nothing when it is cancelled', needsRoot, async () => {
  await using build = await openBase();
  const controller = new AbortController();
  const running = build.build({ Dockerfile: 'FROM base AS a\nRUN sleep 60\nFROM base AS b\nRUN sleep 60\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n' }, {}, controller.signal);
  setTimeout(() => controller.abort(new GantryError('cancelled', 'stopped by the test')), 200);
  await assert.rejects(running, (error) => isError(error, 'cancelled'));
  assert.deepEqual([build.runtime.openTrees, build.runtime.heldLayers, readdirSync(join(build.folder, 'builder/work'))], [0, 0, []]);
  assert.deepEqual(readdirSync(join(build.folder, 'builder/steps')), []);
});

test('Builder.build() stops the other stages when one fails, and shows the failing one', needsRoot, async () => {
  await using build = await openBase();
  const Dockerfile = 'FROM base AS a\nRUN sleep 60\nFROM base AS b\nRUN echo broken && exit 3\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n';
  let output = '';
  await assert.rejects(
    build.builder.build(
      { contextFolder: writeContext(build, { Dockerfile }), dockerfilePath: 'Dockerfile', tags: [], buildArgs: {}, labels: {}, noCache: false, pull: false, network: 'default' },
      () => (event) => void (output += event.kind === 'output' ? event.text : ''),
      AbortSignal.timeout(30_000),
    ),
    (error) => isError(error, 'invalid') && error.details['exitCode'] === 3 && error.places[0]?.line === 4,
  );
  assert.match(output, /broken/);
  assert.equal(build.runtime.openTrees, 0);
});

function writeContext(build: TemporaryBuild, files: Record<string, string>): string {
  const folder = join(build.folder, `context-${Math.random().toString(36).slice(2)}`);
  writeFiles(folder, files);
  return folder;
}

test('Builder.build() never copies from outside the context, whatever links say', needsRoot, async () => {
  await using build = await openBase();
  const context = writeContext(build, { Dockerfile: 'FROM scratch\nCOPY link/passwd /a\n', 'inside/passwd': 'mine' });
  writeFileSync(join(build.folder, 'outside'), 'secret');
  symlinkSync('../../../../../../inside', join(context, 'link'));
  await runBuild(build.builder, { contextFolder: context }, AbortSignal.timeout(30_000));
  assert.deepEqual((await imageOf(build)).files, { a: 'mine' });
  for (const source of ['../outside', '/../../outside', 'up/outside']) {
    const hostile = writeContext(build, { Dockerfile: `FROM scratch\nCOPY ${source} /a\n` });
    symlinkSync('..', join(hostile, 'up'));
    await assert.rejects(runBuild(build.builder, { contextFolder: hostile }, AbortSignal.timeout(30_000)), (error) => isError(error, 'not-found') && error.places[0]?.line === 2);
  }
});

test('Builder.build() never writes outside the tree, whatever links the image has', needsRoot, async () => {
  await using build = await openBase();
  const victim = join(build.folder, 'victim');
  writeFiles(victim, { file: 'untouched' });
  await build.build({ Dockerfile: `FROM base\nRUN ln -s ${victim} /escape && ln -s ../../../../../..${victim} /relative\nCOPY file /escape/file\nCOPY file /relative/\nADD file /escape/other\nWORKDIR /escape/folder\n`, file: 'overwritten' });
  assert.deepEqual(readdirSync(victim), ['file']);
  const { config } = await build.runtime.resolveImage('built');
  assert.equal((await build.runtime.contents(config.rootfs.diff_ids))[`${victim.slice(1)}/file`], 'overwritten');
});

test('Builder.build() copies owners, modes and links as asked', needsRoot, async () => {
  await using build = await openBase();
  const context = writeContext(build, { Dockerfile: 'FROM base AS a\nCOPY --chown=app:staff --chmod=u=rwx,go=r src /named\nCOPY --chown=7 src /numbered\nRUN ln /numbered/f /numbered/hard\nFROM scratch\nCOPY --from=a /named /numbered /out/\n', 'src/f': 'x' });
  symlinkSync('f', join(context, 'src/link'));
  await runBuild(build.builder, { contextFolder: context }, AbortSignal.timeout(30_000));
  const { config } = await build.runtime.resolveImage('built');
  await using tree = await build.runtime.openTree(config.rootfs.diff_ids, AbortSignal.timeout(30_000));
  const stats = (path: string): unknown => {
    const { uid, gid, mode } = lstatSync(join(tree.rootPath, path));
    return [uid, gid, (mode & 0o7777).toString(8)];
  };
  assert.deepEqual(readdirSync(join(tree.rootPath, 'out')).sort(), ['f', 'hard', 'link']);
  assert.deepEqual(stats('out/f'), [7, 7, '644']);
  await assert.rejects(build.build({ Dockerfile: 'FROM base\nCOPY --chown=nobody Dockerfile /\n' }), /Dockerfile:2:1: unknown user "nobody"/);
});

test('Builder.build() honours .dockerignore and the ignore file of the Dockerfile', needsRoot, async () => {
  await using build = await openBase();
  const files = { Dockerfile: 'FROM scratch\nCOPY . /\n', '.dockerignore': '*\n!keep\nkeep/no*\nDockerfile', 'keep/yes': '1', 'keep/no': '2', other: '3' };
  await build.build(files);
  assert.deepEqual((await imageOf(build)).files, { keep: 'folder', 'keep/yes': '1' });
  await build.build({ ...files, 'Dockerfile.dockerignore': 'keep\n*ocker*' });
  assert.deepEqual((await imageOf(build)).files, { other: '3' });
  await assert.rejects(build.build({ ...files, Dockerfile: 'FROM scratch\nCOPY other /\n' }), /Dockerfile:2:1: "\/other" is not in the source: \.dockerignore leaves it out/);
});

test('Builder.build() copies wildcards, --parents, --exclude and here-documents', needsRoot, async () => {
  await using build = await openBase();
  const Dockerfile = `FROM scratch
COPY *.txt none* /wild/
COPY --parents a/b/*.c x/./y/z.h /tree/
COPY --exclude=*.md --exclude=deep docs /docs
ARG WHO=you
COPY <<one.txt <<"two.txt" /inline/
hello $WHO "quoted"
one.txt
keep $WHO
two.txt
`;
  await build.build({ Dockerfile, '1.txt': '1', '2.txt': '2', 'a/b/m.c': 'm', 'a/b/m.h': 'h', 'x/y/z.h': 'z', 'docs/a.md': '', 'docs/a.html': 'a', 'docs/deep/b.html': 'b' });
  assert.deepEqual((await imageOf(build)).files, {
    docs: 'folder',
    'docs/a.html': 'a',
    inline: 'folder',
    'inline/one.txt': 'hello you "quoted"\n',
    'inline/two.txt': 'keep $WHO\n',
    tree: 'folder',
    'tree/a': 'folder',
    'tree/a/b': 'folder',
    'tree/a/b/m.c': 'm',
    'tree/y': 'folder',
    'tree/y/z.h': 'z',
    wild: 'folder',
    'wild/1.txt': '1',
    'wild/2.txt': '2',
  });
});

test('Builder.build() unpacks archives with ADD and leaves them with COPY', needsRoot, async () => {
  await using build = await openBase();
  const context = writeContext(build, { Dockerfile: 'FROM scratch\nADD a.tgz /in/\nCOPY a.tgz /kept.tgz\nADD text.gz /text/\n', 'pack/x/y': 'y' });
  const { execFileSync } = await import('node:child_process');
  execFileSync('tar', ['-C', join(context, 'pack'), '-czf', join(context, 'a.tgz'), '.']);
  execFileSync('sh', ['-c', 'echo plain | gzip > "$0"', join(context, 'text.gz')]);
  await runBuild(build.builder, { contextFolder: context }, AbortSignal.timeout(30_000));
  assert.deepEqual(Object.keys((await imageOf(build)).files), ['in', 'in/x', 'in/x/y', 'kept.tgz', 'text', 'text/text.gz']);
});

test('Builder.build() runs here-documents: as a shell text, as a script, and as input', needsRoot, async () => {
  await using build = await openBase();
  await build.build({ Dockerfile: 'FROM base\nRUN <<EOF\nset -e\necho one > /one\necho two > /two\nEOF\nRUN cat <<A > /three && cat <<-B >> /three\na\nA\n\tb\n\tB\n' });
  assert.deepEqual((await imageOf(build)).files, { one: 'one\n', three: 'a\nb\n', two: 'two\n' });
});

test('Builder.build() runs the ONBUILD triggers of its base first', needsRoot, async () => {
  await using build = await openBase();
  await build.build({ Dockerfile: 'FROM base\nONBUILD COPY file /from-trigger\nONBUILD ENV T=1\n' }, { tags: ['parent'] });
  assert.deepEqual((await build.runtime.resolveImage('parent')).config.config?.OnBuild, ['COPY file /from-trigger', 'ENV T=1']);
  await build.build({ Dockerfile: 'FROM parent\nRUN cat /from-trigger > /seen-$T\n', file: 'f' });
  const { config, files } = await imageOf(build);
  assert.deepEqual([files, config.config?.OnBuild], [{ 'from-trigger': 'f', 'seen-1': 'f' }, undefined]);
});

test('Builder.build() makes the same image twice with SOURCE_DATE_EPOCH', needsRoot, async () => {
  const ids: string[] = [];
  for (const day of ['2030-01-01', '2031-06-06']) {
    await using build = await openTemporaryBuild({ now: () => new Date(day) });
    await build.runtime.addBusybox('base', {});
    // The base is copied from the host, so only what is built on it counts.
    await build.build({ Dockerfile: 'FROM base\nRUN echo 1 > /made && mkdir /folder\nCOPY <<F /f\nx\nF\nWORKDIR /w\n' }, { buildArgs: { SOURCE_DATE_EPOCH: '1700000000' } });
    const { config } = await build.runtime.resolveImage('built');
    ids.push(JSON.stringify([config.rootfs.diff_ids.slice(1), config.created, config.history?.slice(1)]));
  }
  assert.equal(ids[0], ids[1]);
  assert.match(ids[0] ?? '', /2023-11-14T22:13:20.000Z/);
});

const planErrors: readonly (readonly [dockerfile: string, message: RegExp])[] = [
  ['FROM nowhere\n', /Dockerfile:1:6: no image nowhere/],
  ['FROM $X\n', /Dockerfile:1:6: the base "\$X" is empty/],
  ['FROM base\nCOPY --from=later / /\nFROM 0 AS later\n', /Dockerfile:2:6: the stage later stands after this one/],
  ['FROM base\nENV A="${B:?no B}"\n', /Dockerfile:2:7: B: no B/],
  ['FROM base\nEXPOSE 99999\n', /Dockerfile:2:8: "99999" is no port .*out of range/],
  ['FROM base\nSTOPSIGNAL SIGFOO\n', /Dockerfile:2:12: "SIGFOO" is no signal/],
  ['FROM base\nCOPY --chmod=9 a /\n', /Dockerfile:2:6: invalid mode "9"/],
  ['FROM base\nCOPY a b /c\n', /Dockerfile:2:10: with more than one source/],
  ['FROM base\nCOPY https://example.test/x /c\n', /Dockerfile:2:6: COPY cannot have a URL/],
  ['FROM base\nADD https://127.0.0.1:1/x.git /c\n', /Dockerfile:2:1: git ls-remote of https:\/\/127\.0\.0\.1:1\/x\.git failed/],
  ['FROM base\nADD http://127.0.0.1:1/x /c\n', /Dockerfile:2:1: cannot fetch http:\/\/127\.0\.0\.1:1\/x/],
  ['FROM base\nCOPY --from=5 / /\n', /Dockerfile:2:6: there is no stage 5 before this one/],
  ['FROM --platform=plan9/mips base\n', /Dockerfile:1:6: --platform=plan9\/mips is not supported/],
  ['FROM base\nRUN --mount=type=foo,target=/x true\n', /Dockerfile:2:5: unknown mount type "foo"/],
  ['FROM base\nRUN --mount=type=bind true\n', /Dockerfile:2:5: a mount cannot cover the root folder/],
];

for (const [Dockerfile, message] of planErrors) {
  test(`Builder.build() refuses ${JSON.stringify(Dockerfile)}`, needsRoot, async () => {
    await using build = await openBase();
    await assert.rejects(build.build({ Dockerfile }), message);
    assert.equal(build.runtime.openTrees, 0);
  });
}

test('Builder.build() fetches a URL once while the server says that it is unchanged, with the time it tells', needsRoot, async () => {
  await using build = await openBase();
  let answers: number[] = [];
  const server = createServer((request, response) => {
    const isKnown = request.headers['if-none-match'] === '"1"';
    answers.push(isKnown ? 304 : 200);
    response.writeHead(isKnown ? 304 : 200, { etag: '"1"', 'last-modified': 'Wed, 21 Oct 2015 07:28:00 GMT' }).end(isKnown ? undefined : 'fetched');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  await using closing = new AsyncDisposableStack();
  closing.defer(async () => void (await new Promise((resolve) => server.close(resolve))));
  closing.defer(() => server.closeAllConnections());
  const { port } = server.address() as AddressInfo;
  const Dockerfile = `FROM base\nADD http://127.0.0.1:${port}/some/file.bin /got/\n`;
  await build.build({ Dockerfile });
  assert.deepEqual(answers, [200]);
  assert.equal((await build.build({ Dockerfile })).cachedSteps, 1);
  assert.deepEqual(answers, [200, 304]);
  answers = [];
  await build.build({ Dockerfile: Dockerfile.replace('/got/', '/other') });
  assert.deepEqual(answers, [304, 200]);
  const { config } = await build.runtime.resolveImage('built');
  await using tree = await build.runtime.openTree(config.rootfs.diff_ids, AbortSignal.timeout(30_000));
  const { mtime, mode, uid } = lstatSync(join(tree.rootPath, 'other'));
  assert.deepEqual([mtime.toISOString(), (mode & 0o7777).toString(8), uid], ['2015-10-21T07:28:00.000Z', '600', 0]);
});

test('Builder.build() takes named contexts for bases, sources and stages', needsRoot, async () => {
  await using build = await openBase();
  const docs = writeContext(build, { 'page.txt': 'page', 'skip.txt': 'no', '.dockerignore': 'skip.txt\n.dockerignore' });
  const contexts = new Map([['docs', { kind: 'folder', folder: docs } as const], ['rootfs', { kind: 'folder', folder: docs } as const], ['dep', { kind: 'image', reference: 'base' } as const]]);
  await build.build({ Dockerfile: 'FROM nothing AS dep\nRUN false\nFROM rootfs AS files\nFROM dep\nCOPY --from=docs . /docs/\nCOPY --from=files / /files/\n' }, { contexts });
  const { files, config } = await imageOf(build);
  assert.deepEqual(files, { docs: 'folder', 'docs/page.txt': 'page', files: 'folder', 'files/page.txt': 'page' });
  assert.deepEqual(config.config?.Env, ['PATH=/bin', 'BASE=1']);
});

test('Builder.check() tells broken rules without an image or a file of the context', async () => {
  await using build = await openTemporaryBuild();
  const contextFolder = writeContext(build, { Dockerfile: 'FROM nobody-has-it AS One\nCOPY gone /\nCMD x\n' });
  const found = await build.builder.check({ contextFolder, dockerfilePath: 'Dockerfile', tags: [], buildArgs: {}, labels: {}, noCache: false, pull: false, network: 'default' }, AbortSignal.timeout(30_000));
  assert.deepEqual(found.map(({ line, reason }) => `${line} ${reason}`), ['1 StageNameCasing', '3 JSONArgsRecommended']);
});

test('Builder.build() of an untrusted branch reads what trusted builds left and writes nothing that they read', needsRoot, async () => {
  await using build = await openBase();
  const trusted = { Dockerfile: 'FROM base\nRUN echo 1 > /one\n' };
  const branch = { Dockerfile: 'FROM base\nRUN echo 1 > /one\nRUN echo 2 > /two\n' };
  await build.build(trusted);
  assert.equal((await build.build(branch, { cacheAccess: untrustedCache('shop') })).cachedSteps, 1);
  assert.equal((await build.build(branch, { cacheAccess: untrustedCache('shop') })).cachedSteps, 2);
  assert.equal((await build.build(branch, { cacheAccess: untrustedCache('other') })).cachedSteps, 1);
  assert.equal((await build.build(branch)).cachedSteps, 1);
});

test('Builder.build() goes on with work that another build began and left', needsRoot, async () => {
  await using build = await openBase();
  const Dockerfile = `FROM base\nRUN --mount=type=secret,id=none echo begun; while [ ! -e /go ]; do sleep 0.05; done; echo ended > /out\n`;
  const [one, outputs] = [new AbortController(), ['', '']];
  const start = (index: number, signal: AbortSignal): Promise<string> =>
    build.builder.build({ contextFolder: writeContext(build, { Dockerfile }), dockerfilePath: 'Dockerfile', tags: [`shared:${index}`], buildArgs: {}, labels: {}, noCache: false, pull: false, network: 'default' }, () => (event) => void (outputs[index] += event.kind === 'output' ? event.text : ''), signal);
  const first = start(0, one.signal);
  await pollUntil('the first build to run', () => outputs[0]?.includes('begun') || undefined, { timeoutMs: 30_000, intervalMs: 10 }, AbortSignal.timeout(40_000));
  const second = start(1, AbortSignal.timeout(60_000));
  await pollUntil('the second build to join', () => outputs[1]?.includes('begun') || undefined, { timeoutMs: 30_000, intervalMs: 10 }, AbortSignal.timeout(40_000));
  one.abort(new GantryError('cancelled', 'the first leaves'));
  await assert.rejects(first, (error) => isError(error, 'cancelled'));
  const trees = join(build.folder, 'runtime/trees');
  for (const name of readdirSync(trees)) writeFileSync(join(trees, name, 'go'), '');
  await second;
  assert.deepEqual([build.runtime.runs.length, (await imageOf(build, 'shared:1')).files['out']], [1, 'ended\n']);
  await pollUntil('the first build’s folders to go', () => readdirSync(join(build.folder, 'builder/work')).length === 0 || undefined, { timeoutMs: 30_000, intervalMs: 10 }, AbortSignal.timeout(40_000));
});
