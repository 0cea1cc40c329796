import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { gantryDefinitions, type ImageBuild, type ImageBuildSpec, resources, type Stored } from '../../api/mod.ts';
import { Informers, type KubeClient, openKubeClient } from '../../client/mod.ts';
import { openTestApiServer } from '../../cluster/apiserver/testing/test-api-server.ts';
import { GantryError, isError, pollUntil, runServices, silentLogger } from '../../kernel/mod.ts';
import type { SourceArchives } from '../ports.ts';
import { openTemporaryBuild, type TemporaryBuild, writeFiles } from '../testing/temporary-build.ts';
import { ImageBuilds } from './image-builds.ts';

const needsRoot = { skip: process.getuid?.() === 0 && existsSync('/bin/busybox') ? false : 'needs root and busybox-static' };
const commit = 'c'.repeat(40);

interface Node extends AsyncDisposable {
  readonly builds: ImageBuilds;
  readonly url: string;
}

interface World extends AsyncDisposable {
  readonly client: KubeClient;
  readonly build: TemporaryBuild;
  /** Starts the controller of a node, as its agent does. */
  start(nodeName?: string): Promise<Node>;
  create(name: string, spec?: Partial<ImageBuildSpec>): Promise<Stored<ImageBuild>>;
  waitFor(name: string, phase: string): Promise<Stored<ImageBuild>>;
}

/** An API server, a builder, and a repository of the given files. */
async function openWorld(files: Record<string, string>): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const { signal } = new AbortController();
  const server = stack.use(await openTestApiServer());
  const client = stack.use(openKubeClient(server.connection));
  for (const definition of gantryDefinitions) await client.create(resources.customResourceDefinitions, definition, signal);
  const build = stack.use(await openTemporaryBuild());
  await build.runtime.addBusybox('base', {}, { Env: ['PATH=/bin'] });
  writeFiles(join(build.folder, 'repository'), files);
  const owned = stack.move();
  const type = resources.imageBuilds;
  return {
    client,
    build,
    start: (nodeName = 'node') => startNode(nodeName, build, client),
    create: (name, spec = {}) =>
      client.create(type, { apiVersion: 'gantry.dev/v1', kind: 'ImageBuild', metadata: { namespace: 'default', name }, spec: { source: { repository: 'app', commit }, tags: ['app:1'], push: false, ...spec } }, signal),
    waitFor: (name, phase) =>
      pollUntil(`${name} to be ${phase}`, async () => {
        const found = await client.get(type, { namespace: 'default', name }, signal);
        return found.status?.phase === phase ? found : undefined;
      }, { timeoutMs: 30_000 }, signal),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function startNode(nodeName: string, build: TemporaryBuild, client: KubeClient): Promise<Node> {
  await using stack = new AsyncDisposableStack();
  const sources: SourceArchives = {
    open: async (repository, asked) => {
      if (repository.name !== 'app' || asked !== commit) throw new GantryError('not-found', `there is no ${repository.name} at ${asked}`);
      return spawn('tar', ['-C', join(build.folder, 'repository'), '-cf', '-', '.'], { stdio: ['ignore', 'pipe', 'inherit'] }).stdout;
    },
  };
  const informers = new Informers(client, silentLogger());
  const folder = join(build.folder, `builds-${nodeName}`);
  mkdirSync(folder, { recursive: true });
  const builds = await ImageBuilds.open({ nodeName, folder }, { client, informers, builder: build.builder, runtime: build.runtime, sources, log: silentLogger() });
  const stop = new AbortController();
  const running = runServices([[informers], [builds]], silentLogger(), stop.signal);
  stack.defer(async () => {
    stop.abort();
    await running;
  });
  const listener = createServer((request, response) => {
    builds.logRoute.handle(request, response, new URL(request.url ?? '', 'http://node'), new AbortController().signal).catch((error: unknown) => response.writeHead(isError(error, 'not-found') ? 404 : 500).end());
  });
  await new Promise<void>((resolve) => void listener.listen(0, '127.0.0.1', resolve));
  stack.defer(() => new Promise<void>((resolve) => listener.close(() => resolve()).closeAllConnections()));
  const { port } = listener.address() as AddressInfo;
  const owned = stack.move();
  return { builds, url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

test('ImageBuilds takes, builds, pushes and reports, and keeps the log', needsRoot, async () => {
  await using world = await openWorld({ 'sub/Dockerfile.app': 'FROM base\nARG WHO\nRUN echo hello $WHO > /hello && echo said it\n' });
  await using node = await world.start();
  await world.create('one', { contextPath: 'sub', dockerfile: 'Dockerfile.app', buildArgs: { WHO: 'you' }, labels: { a: 'b' }, push: true, tags: ['127.0.0.1:5000/app:1'] });
  const { spec, status } = await world.waitFor('one', 'Succeeded');
  assert.equal(spec?.nodeName, 'node');
  const image = await world.build.runtime.resolveImage('127.0.0.1:5000/app:1');
  assert.deepEqual([status?.imageId, status?.digest, image.config.config?.Labels], [image.id, image.id, { a: 'b' }]);
  assert.ok(status?.startedAt !== undefined && status.finishedAt !== undefined);
  const log = await (await fetch(`${node.url}/imageBuildLogs/default/one`)).text();
  assert.match(log, /^Step 1\/3 : FROM base\n[\s\S]*said it\n[\s\S]*127\.0\.0\.1:5000\/app:1: digest: sha256:/);
  assert.equal((await fetch(`${node.url}/imageBuildLogs/default/none`)).status, 404);
  assert.deepEqual(readdirSync(join(world.build.folder, 'builds-node/checkouts')), []);
});

test('ImageBuilds streams the log while the build runs', needsRoot, async () => {
  await using world = await openWorld({ Dockerfile: 'FROM base\nRUN echo first && while test ! -e /go; do sleep 0.05; done; echo last\n' });
  const roots: string[] = [];
  const run = world.build.runtime.run.bind(world.build.runtime);
  world.build.runtime.run = (tree, process, signal) => {
    roots.push(tree.rootPath);
    return run(tree, process, signal);
  };
  await using node = await world.start();
  await world.create('one');
  await world.waitFor('one', 'Running');
  const response = await pollUntil('the log', async () => {
    const answer = await fetch(`${node.url}/imageBuildLogs/default/one?follow=true`, { signal: AbortSignal.timeout(30_000) });
    return answer.status === 200 ? answer : undefined;
  }, { timeoutMs: 10_000 }, new AbortController().signal);
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString();
    if (/^first$/m.test(text) && !/^last$/m.test(text)) writeFiles(roots[0] ?? assert.fail(), { go: '' });
  }
  assert.match(text, /^first$[\s\S]*^last$/m);
  await world.waitFor('one', 'Succeeded');
});

test('ImageBuilds tells why a build failed', needsRoot, async () => {
  await using world = await openWorld({ Dockerfile: 'FROM base\nRUN echo oh no && false\n' });
  await using stack = new AsyncDisposableStack();
  stack.use(await world.start());
  const failures: readonly (readonly [name: string, spec: Partial<ImageBuildSpec>, message: RegExp])[] = [
    ['command', {}, /Dockerfile:2:1: The command '\/bin\/sh -c echo oh no && false' returned a non-zero code: 1/],
    ['source', { source: { repository: 'other', commit } }, /there is no other/],
    ['file', { dockerfile: 'Nope' }, /has no Nope/],
    ['folder', { contextPath: '../..' }, /has no Dockerfile|no folder|returned a non-zero/],
    ['target', { target: 'nope' }, /no stage "nope"/],
  ];
  for (const [name, spec] of failures) await world.create(name, spec);
  for (const [name, , message] of failures) assert.match((await world.waitFor(name, 'Failed')).status?.message ?? '', message);
});

test('ImageBuilds stops a build that is deleted and forgets it', needsRoot, async () => {
  await using world = await openWorld({ Dockerfile: 'FROM base\nRUN sleep 600\n' });
  await using stack = new AsyncDisposableStack();
  stack.use(await world.start());
  await world.create('one');
  await world.waitFor('one', 'Running');
  await pollUntil('the command', () => (world.build.runtime.runs.length > 0 ? true : undefined), { timeoutMs: 30_000 }, new AbortController().signal);
  await world.client.delete(resources.imageBuilds, { namespace: 'default', name: 'one' }, {}, new AbortController().signal);
  const logs = join(world.build.folder, 'builds-node/logs');
  await pollUntil('nothing to be left', () => (world.build.runtime.openTrees === 0 && readdirSync(logs).length === 0 ? true : undefined), { timeoutMs: 30_000 }, new AbortController().signal);
});

test('ImageBuilds goes on after a restart of the agent', needsRoot, async () => {
  await using world = await openWorld({ Dockerfile: 'FROM base\nRUN echo made > /first\nRUN test -e /go || sleep 600\n' });
  const run = world.build.runtime.run.bind(world.build.runtime);
  let isReleased = false;
  world.build.runtime.run = async (tree, process, signal) => {
    if (isReleased) writeFiles(tree.rootPath, { go: '' });
    return run(tree, process, signal);
  };
  {
    await using stack = new AsyncDisposableStack();
    stack.use(await world.start());
    await world.create('one');
    await pollUntil('the second command', () => (world.build.runtime.runs.length === 2 ? true : undefined), { timeoutMs: 30_000 }, new AbortController().signal);
  }
  isReleased = true;
  await using stack = new AsyncDisposableStack();
  stack.use(await world.start());
  await world.waitFor('one', 'Succeeded');
  assert.equal(world.build.runtime.runs.length, 3, 'the first command ran again');
});

test('ImageBuilds of two nodes share the work', needsRoot, async () => {
  await using world = await openWorld({ Dockerfile: 'FROM base\nRUN echo $((1 + 1)) > /two\n' });
  await using stack = new AsyncDisposableStack();
  for (const name of ['one', 'two']) stack.use(await world.start(name));
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) await world.create(name, { tags: [`app:${name}`] });
  for (const name of names) assert.match((await world.waitFor(name, 'Succeeded')).spec?.nodeName ?? '', /^(?:one|two)$/);
});

test('ImageBuilds takes caches, contexts and the form of layers from the resource; what nobody vouches for leaves no cache in a registry', needsRoot, async () => {
  await using world = await openWorld({ Dockerfile: 'FROM other\nRUN echo made > /made\n' });
  await using node = await world.start();
  const rest: Partial<ImageBuildSpec> = { contexts: { other: 'docker-image://base' }, format: { compression: 'zstd', level: 9 } };
  await world.create('trusted', { ...rest, tags: ['app:1'], inlineCache: true, cacheTo: [{ reference: 'cache:trusted', mode: 'max' }] });
  await world.waitFor('trusted', 'Succeeded');
  assert.deepEqual(world.build.runtime.packed, { compression: 'zstd', level: 9, isForced: false, mediaTypes: 'oci' });
  await world.create('cached', { ...rest, tags: ['app:2'], cacheFrom: ['cache:trusted'] });
  await world.waitFor('cached', 'Succeeded');
  assert.equal(world.build.runtime.runs.length, 1);
  await world.create('anew', { ...rest, tags: ['app:3'], noCache: true, untrustedScope: 'someone', cacheTo: [{ reference: 'cache:untrusted', mode: 'max' }] });
  await world.waitFor('anew', 'Succeeded');
  assert.equal(world.build.runtime.runs.length, 2);
  assert.match(await (await fetch(`${node.url}/imageBuildLogs/default/anew`)).text(), /The cache is not pushed/);
  const names = [...world.build.runtime.images.keys()].join(' ');
  assert.deepEqual([names.includes('cache:trusted'), names.includes('cache:untrusted')], [true, false]);
});
