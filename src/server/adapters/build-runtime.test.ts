import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { bootstrapImage, Builder, type BuildRequest } from '../../builder/mod.ts';
import { runBuild, writeFiles } from '../../builder/testing/temporary-build.ts';
import { type ImageStore, openImageStore, type RegistryClient } from '../../engine/mod.ts';
import { openTestEngine } from '../../engine/testing/test-engine.ts';
import { GantryError, isError, randomHex, silentLogger } from '../../kernel/mod.ts';
import { bootstrapStoreOf } from './bootstrap-store.ts';
import { buildRuntimeOf } from './build-runtime.ts';

const needsRoot = { skip: process.getuid?.() === 0 && existsSync('/bin/busybox') ? false : 'needs root and busybox-static' };
const limit = (): AbortSignal => AbortSignal.timeout(60_000);

/** No registry: everything is made here. */
const noRegistry: RegistryClient = {
  fetchManifest: async () => Promise.reject(new GantryError('unavailable', 'there is no registry')),
  fetchBlob: async () => Promise.reject(new GantryError('unavailable', 'there is no registry')),
  hasBlob: async () => false,
  pushBlob: async () => Promise.reject(new GantryError('unavailable', 'there is no registry')),
  pushManifest: async () => Promise.reject(new GantryError('unavailable', 'there is no registry')),
};

interface RealBuild extends AsyncDisposable {
  readonly folder: string;
  readonly images: ImageStore;
  readonly treesFolder: string;
  /** Secrets and sockets of running steps. */
  readonly secretsFolder: string;
  build(files: Record<string, string>, request?: Partial<BuildRequest>, signal?: AbortSignal, onOutput?: (text: string) => void): Promise<Awaited<ReturnType<typeof runBuild>>>;
  /** Runs a command in the image and resolves to what it printed. */
  run(image: string, args: string[]): Promise<string>;
}

/** A builder over a real engine and image store, with a bootstrapped busybox. */
async function openRealBuild(environment = { certificateBundle: undefined as string | undefined, proxyVariables: {} as Record<string, string> }): Promise<RealBuild> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'gantry-real-build-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const images = stack.use(await openImageStore({ folder: join(folder, 'images'), registry: noRegistry, log: silentLogger() }));
  const { engine, options } = stack.use(await openTestEngine(images));
  await bootstrapImage('busybox', bootstrapStoreOf(images), { cacheFolder: join(folder, 'cache'), environment }, () => undefined, limit());
  const runtime = buildRuntimeOf({ engine, images, credentialsFor: () => undefined });
  const builder = stack.use(
    await Builder.open({ runtime, folder: join(folder, 'builder'), runFolder: join(options.runFolder, 'b'), environment, config: { cacheBytes: 1 << 30, cacheMountBytes: 1 << 30, parallelSteps: 4 }, log: silentLogger() }),
  );
  const owned = stack.move();
  return {
    folder,
    images,
    treesFolder: join(options.rootFolder, 'trees'),
    secretsFolder: join(options.runFolder, 'b/secrets'),
    build: async (files, request = {}, signal = limit(), onOutput) => {
      const contextFolder = join(folder, `context-${randomHex(4)}`);
      writeFiles(contextFolder, files);
      return runBuild(builder, { contextFolder, ...request }, signal, onOutput);
    },
    run: async (image, args) => {
      const { config } = images.get(image);
      await using tree = await runtime.openTree(config.rootfs.diff_ids, limit());
      const chunks: Buffer[] = [];
      const { Writable } = await import('node:stream');
      const output = new Writable({ write: (chunk: Buffer, _encoding, done) => (chunks.push(chunk), done()) });
      const { exitCode } = await runtime.run(tree, { args, env: config.config?.Env ?? [], workingDir: config.config?.WorkingDir ?? '/', user: config.config?.User ?? '', network: 'none', isPrivileged: false, mounts: [], output }, limit());
      assert.equal(exitCode, 0, Buffer.concat(chunks).toString());
      return Buffer.concat(chunks).toString();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

test('buildRuntimeOf() builds real images: RUN in containers, COPY, stages, users, cache', needsRoot, async () => {
  await using build = await openRealBuild();
  const files = {
    Dockerfile: `FROM busybox AS build
WORKDIR /src
COPY . .
RUN echo "built by $(id -u) in $(pwd)" > out && ln -s out link && rm input
FROM busybox
COPY --from=build --chown=33:33 /src /app
USER www-data
WORKDIR /app
RUN id -un > /tmp/who
CMD ["cat", "out"]
`,
    input: 'x',
    'lib/a': 'a',
  };
  const first = await build.build(files);
  assert.equal(await build.run('built', ['cat', 'out', 'link', 'lib/a', '/tmp/who']), 'built by 0 in /src\nbuilt by 0 in /src\nawww-data\n');
  assert.equal(await build.run('built', ['stat', '-c', '%u:%g %F', 'out', 'link']), '33:33 regular file\n33:33 symbolic link\n');
  assert.equal(await build.run('built', ['ls']), 'Dockerfile\nlib\nlink\nout\n');
  const second = await build.build(files);
  assert.deepEqual([second.imageId, second.cachedSteps], [first.imageId, 6]);
});

test('buildRuntimeOf() makes no layer of a step that changes nothing, nor of its mount points', needsRoot, async () => {
  await using build = await openRealBuild();
  await build.build({ Dockerfile: 'FROM busybox\nRUN --mount=type=tmpfs,target=/deep/mount/point true\nRUN cat /etc/hosts\nWORKDIR /tmp\n' });
  const [base, built] = [build.images.get('busybox'), build.images.get('built')];
  assert.deepEqual(built.layers, base.layers);
  assert.deepEqual(built.config.history?.slice(1).map(({ empty_layer }) => empty_layer), [true, true, true]);
});

test('buildRuntimeOf() records deleted files and replaced folders', needsRoot, async () => {
  await using build = await openRealBuild();
  await build.build({ Dockerfile: 'FROM busybox\nRUN mkdir /d && echo 1 > /d/one && echo 2 > /d/two\nRUN rm /d/one\nRUN rm -r /d && mkdir /d && echo 3 > /d/three\n' });
  assert.equal(await build.run('built', ['ls', '/d']), 'three\n');
});

test('Builder gives RUN mounts: bind, cache, tmpfs, secret', needsRoot, async () => {
  await using build = await openRealBuild();
  const Dockerfile = `FROM busybox AS tools
RUN mkdir /tools && echo tool > /tools/name
FROM busybox
RUN --mount=type=bind,source=data,target=/data --mount=type=bind,from=tools,source=/tools,target=/tools cat /data/file /tools/name > /read && ! touch /data/x
RUN --mount=type=cache,target=/cache,id=c echo run >> /cache/log && cat /cache/log > /count
RUN --mount=type=tmpfs,target=/scratch touch /scratch/x && grep -q ' /scratch tmpfs ' /proc/mounts
RUN --mount=type=secret,id=token,env=TOKEN --mount=type=secret,id=token,required test "$TOKEN" = s3cret
RUN --mount=type=secret,id=token,target=/run/secrets/t,mode=0444 cat /run/secrets/t | wc -c > /length
`;
  const secrets = new Map([['token', Buffer.from('s3cret')]]);
  await build.build({ Dockerfile, 'data/file': 'context\n' }, { secrets });
  assert.equal(await build.run('built', ['cat', '/read', '/count', '/length']), 'context\ntool\nrun\n6\n');
  await build.build({ Dockerfile: Dockerfile.replace('/count', '/count2'), 'data/file': 'context\n' }, { secrets });
  assert.equal(await build.run('built', ['cat', '/count2']), 'run\nrun\n');
  assert.equal(await build.run('built', ['ls', '/']).then((list) => /data|cache|scratch|tools|secrets/.test(list)), false);
  await assert.rejects(build.build({ Dockerfile: 'FROM busybox\nRUN --mount=type=secret,id=none,required true\n' }), /Dockerfile:2:1: the build was given no secret "none"/);
});

test('Builder keeps secrets, certificates and proxies out of image, cache and history', needsRoot, async () => {
  const bundleFolder = mkdtempSync(join(tmpdir(), 'gantry-bundle-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(bundleFolder, { recursive: true, force: true }));
  const bundle = join(bundleFolder, 'bundle.pem');
  writeFileSync(bundle, 'the certificates of the machine\n');
  await using build = await openRealBuild({ certificateBundle: bundle, proxyVariables: { HTTP_PROXY: 'http://proxy.invalid:1' } });
  const Dockerfile = 'FROM busybox\nRUN --mount=type=secret,id=t,target=/s env; cat "$SSL_CERT_FILE" /s && touch /done\n';
  const { output } = await build.build({ Dockerfile }, { secrets: new Map([['t', Buffer.from('very-secret-value')]]) });
  for (const seen of ['the certificates of the machine', 'HTTP_PROXY=http://proxy.invalid:1', 'NODE_EXTRA_CA_CERTS=/']) assert.ok(output.includes(seen), output);
  const kept = [JSON.stringify(build.images.get('built').config), await build.run('built', ['sh', '-c', 'env; ls -a / /run 2>/dev/null; grep -rs -e very-secret -e certificates.of /etc /run /tmp || true'])].join();
  assert.doesNotMatch(kept, /proxy\.invalid|NODE_EXTRA|very-secret-value|gantry-certificates|certificates of/);
  for (const folder of ['builder/steps', 'builder/journal']) {
    for (const name of readdirSync(join(build.folder, folder))) assert.doesNotMatch(readFileSync(join(build.folder, folder, name), 'utf8'), /proxy\.invalid|very-secret-value/);
  }
});

test('CVE-2024-21626: Builder runs no step in a descriptor of a process, by WORKDIR, a link or ONBUILD', needsRoot, async () => {
  await using build = await openRealBuild();
  const refused = /is that of a process in \/proc/;
  await assert.rejects(build.build({ Dockerfile: 'FROM busybox\nWORKDIR /proc/self/fd/7\nRUN ls ../../..\n' }), refused);
  await assert.rejects(build.build({ Dockerfile: 'FROM busybox\nRUN ln -s /proc/self/fd/8 /w\nWORKDIR /w\nRUN ls ../../..\n' }));
  await build.build({ Dockerfile: 'FROM busybox\nONBUILD WORKDIR /proc/self/fd/9\nONBUILD RUN ls ../../..\n' });
  await assert.rejects(build.build({ Dockerfile: 'FROM built\n' }), refused);
});

test('Builder stops a running command when it is cancelled and leaves no tree', needsRoot, async () => {
  await using build = await openRealBuild();
  const controller = new AbortController();
  const running = build.build({ Dockerfile: 'FROM busybox\nRUN echo started; sleep 600\n' }, {}, controller.signal);
  setTimeout(() => controller.abort(new GantryError('cancelled', 'stopped by the test')), 500);
  await assert.rejects(running, (error) => isError(error, 'cancelled'));
  assert.deepEqual(readdirSync(build.treesFolder), []);
});

test('Builder makes byte-identical layers with SOURCE_DATE_EPOCH', needsRoot, async () => {
  await using build = await openRealBuild();
  const files = { Dockerfile: 'FROM busybox\nRUN mkdir /d && echo 1 > /d/f\nCOPY file /copied/\n', file: 'x' };
  const request = { buildArgs: { SOURCE_DATE_EPOCH: '1700000000' }, noCache: true };
  const first = await build.build(files, request);
  assert.equal((await build.build(files, request)).imageId, first.imageId);
});

test('CVE-2024-23651: sources of mounts are found inside their tree, whatever links a stage or a cache has, and no step can swap them', needsRoot, async () => {
  await using build = await openRealBuild();
  const Dockerfile = `FROM busybox AS hostile
RUN ln -s / /up && ln -s ../../../../../../../../etc /relative && echo inside > /marker
FROM busybox
RUN --mount=type=bind,from=hostile,source=/up,target=/seen cat /seen/marker > /one
RUN --mount=type=bind,from=hostile,source=/relative,target=/seen test ! -e /seen/apt && ls /seen > /two
RUN --mount=type=cache,id=c,target=/cache rm -rf /cache/* && ln -s / /cache/link && ! mv /cache /elsewhere && ! rmdir /cache
RUN --mount=type=cache,id=c,target=/cache readlink /cache/link > /three
`;
  await build.build({ Dockerfile });
  assert.match(await build.run('built', ['sh', '-c', 'cat /one /three; grep -c . /two']), /^inside\n\/\n\d+\n$/);
  await assert.rejects(build.build({ Dockerfile: 'FROM busybox\nRUN --mount=type=cache,id=c,source=link,target=/c ls /c\n' }), /Dockerfile:2:1: source needs from on a cache mount/);
});

test('CVE-2024-23652: removing mount points follows no link that the command left', needsRoot, async () => {
  await using build = await openRealBuild();
  const victim = join(build.folder, 'victim');
  writeFiles(victim, { 'b/c/': '', 'b/empty': '' });
  const Dockerfile = `FROM busybox
RUN --mount=type=tmpfs,target=/a/b/c --mount=type=secret,id=s,target=/d/empty,mode=0444 mv /a /moved && ln -s ${victim} /a
RUN --mount=type=secret,id=s,target=/e/b/empty mv /e /gone && ln -s ${victim} /e
`;
  await build.build({ Dockerfile }, { secrets: new Map([['s', Buffer.from('x')]]) });
  assert.deepEqual([readdirSync(victim), readdirSync(join(victim, 'b')).toSorted()], [['b'], ['c', 'empty']]);
});

test('CVE-2024-23653: no Dockerfile, trigger or stage runs without confinement unless the build is allowed to', needsRoot, async () => {
  await using build = await openRealBuild();
  const capabilities = async (dockerfile: string, request: Partial<BuildRequest> = {}): Promise<string> => {
    const { output } = await build.build({ Dockerfile: dockerfile }, { noCache: true, ...request });
    return /CapEff:\s*([0-9a-f]+)/.exec(output)?.[1] ?? '';
  };
  const show = 'grep CapEff /proc/self/status';
  // The default set of containers without CAP_NET_RAW, CAP_SYS_ADMIN not among it.
  assert.equal(BigInt(`0x${await capabilities(`FROM busybox\nRUN ${show}\n`)}`) & ((1n << 13n) | (1n << 21n) | (1n << 16n)), 0n);
  await build.build({ Dockerfile: `FROM busybox\nONBUILD RUN --security=insecure ${show}\n` }, { tags: ['trigger'] });
  await assert.rejects(build.build({ Dockerfile: 'FROM trigger\n' }), /ONBUILD of trigger:1:5: running without confinement is not allowed/);
  await assert.rejects(build.build({ Dockerfile: `FROM busybox\nRUN --security=insecure ${show}\n` }), /Dockerfile:2:5: running without confinement is not allowed/);
  const allowed = await capabilities(`FROM busybox\nRUN --security=insecure ${show}\n`, { allowed: new Set(['security.insecure']) });
  assert.notEqual(BigInt(`0x${allowed}`) & (1n << 16n), 0n);
});

test('Builder hands an SSH agent to the step that asks for it and leaves nothing of it', needsRoot, async () => {
  await using build = await openRealBuild();
  const socketPath = join(build.folder, 'agent');
  const server = createServer((socket) => socket.end('hello from the agent\n')).listen(socketPath);
  // What a command does with the socket, done from outside while it runs: busybox has no client for unix sockets.
  const answer = Promise.withResolvers<string>();
  const seen = async (text: string): Promise<void> => {
    if (!text.includes('ready')) return;
    const [name = ''] = readdirSync(build.secretsFolder).filter((entry) => lstatSync(join(build.secretsFolder, entry)).isSocket());
    const client = connect(join(build.secretsFolder, name));
    client.once('data', (chunk) => {
      answer.resolve(String(chunk));
      const mounts = join(build.folder, 'builder/mounts');
      for (const mount of readdirSync(mounts)) writeFileSync(join(mounts, mount, 'data/go'), '');
    });
  };
  await using closing = new AsyncDisposableStack();
  closing.defer(async () => void (await new Promise((resolve) => server.close(resolve))));
  await once(server, 'listening');
  const Dockerfile = `FROM busybox
RUN --mount=type=ssh,uid=33,mode=0640 --mount=type=cache,id=gate,target=/gate stat -c 'ready %u %a %F' "$SSH_AUTH_SOCK" && until [ -e /gate/go ]; do sleep 0.05; done && touch /done
RUN test -z "$SSH_AUTH_SOCK" && ! ls /run/buildkit
`;
  const { output } = await build.build({ Dockerfile }, { sshSockets: new Map([['default', socketPath]]) }, limit(), (text) => void seen(text));
  assert.match(output, /ready 33 640 socket/);
  assert.equal(await answer.promise, 'hello from the agent\n');
  assert.deepEqual(readdirSync(build.secretsFolder), []);
  assert.doesNotMatch(JSON.stringify(build.images.get('built').config), /SSH_AUTH_SOCK=|ssh_agent/);
  assert.equal(await build.run('built', ['sh', '-c', 'ls -d /done /run/buildkit 2>/dev/null || true']), '/done\n');
  await assert.rejects(build.build({ Dockerfile: 'FROM busybox\nRUN --mount=type=ssh,required true\n' }), /the build was given no SSH agent "default"/);
});
