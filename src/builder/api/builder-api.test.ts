import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import type { BuildMessage, BuildReply } from '../../api/mod.ts';
import { IgnoreRules, packFiles, readManifest } from '../../context/mod.ts';
import { runCommand, silentLogger, toGantryError } from '../../kernel/mod.ts';
import { ContextStore } from '../contexts/context-store.ts';
import { openTemporaryBuild, type TemporaryBuild, writeFiles } from '../testing/temporary-build.ts';
import { BuilderApi } from './builder-api.ts';

const needsRoot = { skip: process.getuid?.() === 0 && existsSync('/bin/busybox') ? false : 'needs root and busybox-static' };
const limit = (): AbortSignal => AbortSignal.timeout(60_000);

interface Served extends AsyncDisposable {
  readonly build: TemporaryBuild;
  call(method: string, path: string, body?: string | Readable): Promise<{ status: number; body: Buffer }>;
  /** Sends files as a context; resolves to its id. */
  send(files: Record<string, string>): Promise<{ held: string }>;
  run(message: BuildMessage): Promise<BuildReply[]>;
}

async function serve(): Promise<Served> {
  await using stack = new AsyncDisposableStack();
  const build = stack.use(await openTemporaryBuild());
  await build.runtime.addBusybox('base', {});
  const folder = mkdtempSync(join(build.folder, 'api-'));
  const api = stack.use(new BuilderApi({ builder: build.builder, runtime: build.runtime, contexts: await ContextStore.open(join(folder, 'contexts')), log: silentLogger() }));
  const server = createServer((incoming, response) => {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    api.handle(incoming, response, new URL(incoming.url ?? '/', 'http://agent'), gone.signal).catch((error: unknown) => response.writeHead(400).end(toGantryError(error).message));
  });
  stack.defer(async () => void (await new Promise((resolve) => server.close(resolve))));
  stack.defer(() => server.closeAllConnections());
  const socketPath = join(folder, 's');
  server.listen(socketPath);
  await once(server, 'listening');
  const call: Served['call'] = async (method, path, body) => {
    const outgoing = request({ socketPath, method, path, signal: limit() });
    if (body === undefined || typeof body === 'string') outgoing.end(body);
    else body.pipe(outgoing);
    const [response] = (await once(outgoing, 'response')) as [Readable & { statusCode: number }];
    return { status: response.statusCode, body: await buffer(response) };
  };
  const send: Served['send'] = async (files) => {
    const context = join(folder, 'client');
    rmSync(context, { recursive: true, force: true });
    writeFiles(context, files);
    const answer = JSON.parse((await call('POST', '/builder/contexts?name=client', JSON.stringify([...readManifest(context, IgnoreRules.none)]))).body.toString()) as { id: string; missing: string[] };
    const { tar, done } = packFiles(context, answer.missing, limit());
    assert.equal((await call('POST', `/builder/contexts/${answer.id}`, tar)).status, 200);
    await done;
    return { held: answer.id };
  };
  const owned = stack.move();
  return {
    build,
    call,
    send,
    run: async (message) => (await call('POST', '/builder/builds', JSON.stringify(message))).body.toString().trim().split('\n').map((line) => JSON.parse(line) as BuildReply),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

test('BuilderApi builds what was sent, tells the plan, every step and the result', needsRoot, async () => {
  await using served = await serve();
  const files = { Dockerfile: 'FROM base AS one\nCOPY a /\nRUN --mount=type=secret,id=s cat /a\n', a: 'content' };
  const replies = await served.run({ context: await served.send(files), dockerfile: { path: 'Dockerfile' }, tags: ['app'], secrets: { s: Buffer.from('very-secret').toString('base64') } });
  assert.deepEqual(replies[0], { kind: 'planned', target: 0, stages: [{ index: 0, name: 'one', stepNumbers: [1, 2, 3] }] });
  assert.deepEqual(replies.filter(({ kind }) => kind === 'output'), [{ kind: 'output', stage: 0, text: 'content' }]);
  assert.equal(replies.at(-1)?.kind, 'result');
  assert.doesNotMatch(JSON.stringify(replies), /very-secret/);
  const again = await served.run({ context: await served.send(files), dockerfile: { path: 'Dockerfile' } });
  assert.equal(again.filter((reply) => reply.kind === 'step-finished' && reply.isCached).length, 2);
  assert.deepEqual(again.at(-1), replies.at(-1));
});

test('BuilderApi checks without files, and tells errors with their place', needsRoot, async () => {
  await using served = await serve();
  const checked = await served.run({ context: await served.send({ x: '' }), dockerfile: { path: 'Dockerfile', text: 'FROM nobody AS One\n' }, check: true });
  assert.deepEqual(checked.map((reply) => (reply.kind === 'warning' ? reply.place.reason : reply.kind)), ['StageNameCasing', 'result']);
  const [failed] = await served.run({ context: await served.send({ x: '' }), dockerfile: { path: 'Dockerfile', text: 'FROM base\nFOO\n' } });
  assert.deepEqual(failed?.kind === 'error' ? [failed.code, failed.message.split('\n')[0]] : failed, ['invalid', 'Dockerfile:2:1: unknown instruction FOO']);
  const platform = await served.run({ context: await served.send({ x: '' }), dockerfile: { path: 'Dockerfile', text: 'FROM base\n' }, platform: 'linux/s390x' });
  assert.match(JSON.stringify(platform.at(-1)), /the platform linux\/s390x is not supported/);
  const { status, body } = await served.call('POST', '/builder/builds', JSON.stringify({ context: { held: 'x' }, dockerfile: { path: 'D' }, secrets: { s: '!!secret!!' }, unknown: 1 }));
  assert.deepEqual([status, body.toString().includes('!!secret!!')], [400, false]);
  assert.match(body.toString(), /malformed request: secrets\.s/);
});

test('BuilderApi takes results of steps to another builder and brings them back', needsRoot, async () => {
  await using served = await serve();
  const text = 'FROM base AS dep\nRUN echo dep > /dep\nFROM base\nCOPY --from=dep /dep /\nRUN echo 1 > /one\n';
  const message = async (rest: Partial<BuildMessage>): Promise<BuildMessage> => ({ context: await served.send({ x: '' }), dockerfile: { path: 'Dockerfile', text }, tags: ['app'], ...rest });
  const first = await served.run(await message({ cacheTo: [{ reference: 'cache:max', mode: 'max' }, { reference: 'cache:min', mode: 'min' }], inlineCache: true }));
  const cachedAfter = async (rest: Partial<BuildMessage>): Promise<number> => {
    await served.call('POST', '/builder/cache/prune');
    return (await served.run(await message(rest))).filter((reply) => reply.kind === 'step-finished' && reply.isCached).length;
  };
  assert.equal(await cachedAfter({}), 0);
  assert.equal(await cachedAfter({ cacheFrom: ['cache:max'] }), 3);
  assert.equal(await cachedAfter({ cacheFrom: ['cache:min'] }), 2);
  assert.equal(first.at(-1)?.kind, 'result');
  const gone = await served.run(await message({ cacheFrom: ['cache:nothing'] }));
  assert.deepEqual([gone.some((reply) => reply.kind === 'note' && /cannot use the cache of cache:nothing/.test(reply.text)), gone.at(-1)?.kind], [true, 'result']);
});

test('BuilderApi hands out the tree of an image, and cache mounts in both directions', needsRoot, async () => {
  await using served = await serve();
  const list = async (tar: Buffer): Promise<string[]> => (await runCommand('bsdtar', ['-tf', '-'], { stdin: tar }, limit())).stdout.trim().split('\n').toSorted();
  const replies = await served.run({ context: await served.send({ a: '1' }), dockerfile: { path: 'Dockerfile', text: 'FROM scratch\nCOPY a /out/\n' } });
  const result = replies.at(-1);
  assert.ok(result?.kind === 'result' && result.imageId !== undefined);
  const { body } = await served.call('GET', `/builder/images/${encodeURIComponent(result.imageId)}/files`);
  assert.deepEqual(await list(body), ['./', './out/', './out/a']);
  const folder = mkdtempSync(join(served.build.folder, 'mount-'));
  writeFiles(folder, { cached: 'x' });
  const { tar } = packFiles(folder, ['cached'], limit());
  assert.equal((await served.call('PUT', '/builder/mounts/npm', tar)).status, 200);
  assert.deepEqual(await list((await served.call('GET', '/builder/mounts/npm')).body), ['./', './cached']);
  const usage = JSON.parse((await served.call('GET', '/builder/cache')).body.toString()) as { records: number; mounts: { id: string }[] };
  assert.deepEqual([usage.records, usage.mounts.map(({ id }) => id)], [1, ['npm']]);
  assert.equal((await served.call('GET', '/builder/mounts/nothing')).status, 400);
  assert.deepEqual(readdirSync(join(served.build.folder, 'builder/work')), []);
});

test('BuilderApi stores the image in the form that is asked for, and hands out an OCI layout of it', needsRoot, async () => {
  await using served = await serve();
  const format = { compression: 'zstd', level: 5, isForced: false, mediaTypes: 'oci' } as const;
  const replies = await served.run({ context: await served.send({ a: '1' }), dockerfile: { path: 'Dockerfile', text: 'FROM scratch\nCOPY a /\n' }, tags: ['app'], format });
  const result = replies.at(-1);
  assert.ok(result?.kind === 'result');
  assert.deepEqual(served.build.runtime.packed, format);
  const path = `/builder/images/${encodeURIComponent(result.imageId ?? '')}/layout?${new URLSearchParams([['format', JSON.stringify(format)], ['tag', 'app:1']]).toString()}`;
  assert.deepEqual(JSON.parse((await served.call('GET', path)).body.toString()), { image: result.imageId, references: ['app:1'], format });
  assert.equal((await served.call('GET', path.replace('zstd', 'lzma'))).status, 400);
});
