import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { BuildReply, Digest } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';
import { parseBuildArgs, parseCacheOption, parseLabels, parseOutput, parseSecrets, parseSsh } from './build-options.ts';
import { isGitUrl } from './client-context.ts';
import { readPipedContext } from './standard-input.ts';
import { explain, reportChecks } from './explanation.ts';
import { LiveView } from './live-view.ts';
import { PlainView } from './plain-view.ts';

const plan: BuildReply = { kind: 'planned', target: 1, stages: [{ index: 0, name: 'dep', stepNumbers: [1, 2] }, { index: 1, name: 'stage-1', stepNumbers: [3] }] };
const replies: BuildReply[] = [
  plan,
  { kind: 'warning', place: { file: 'Dockerfile', line: 2, column: 1, message: 'bad', reason: 'SomeRule' } },
  { kind: 'step-started', stage: 0, number: 1, count: 3, text: 'FROM base AS dep' },
  { kind: 'step-finished', stage: 0, number: 1, isCached: false, id: 'x', durationMs: 0 },
  { kind: 'step-started', stage: 0, number: 2, count: 3, text: 'RUN make' },
  { kind: 'output', stage: 0, text: 'one\ntw' },
  { kind: 'output', stage: 0, text: 'o' },
  { kind: 'step-finished', stage: 0, number: 2, isCached: false, missReason: 'file a changed', id: 'x', durationMs: 1234 },
  { kind: 'step-started', stage: 1, number: 3, count: 3, text: 'COPY --from=dep a /' },
  { kind: 'step-finished', stage: 1, number: 3, isCached: true, id: 'x', durationMs: 1 },
  { kind: 'finished', imageId: 'sha256:x' as Digest, tags: ['app:latest'] },
];

test('PlainView writes lines in order, each with its step, time or cached mark', () => {
  let text = '';
  const view = new PlainView((part) => (text += part), { explains: true });
  for (const reply of replies) view.show(reply);
  view.end();
  assert.equal(
    text.replace(/(#2 )\d+\.\d{3}/g, '$1TIME'),
    `WARN: Dockerfile:2:1: SomeRule: bad
#1 [dep 1/2] FROM base AS dep
#1 DONE 0.0s
#2 [dep 2/2] RUN make
#2 TIME one
#2 TIME two
#2 NOT CACHED: file a changed
#2 DONE 1.2s
#3 [stage-1 1/1] COPY --from=dep a /
#3 CACHED
naming to app:latest
`,
  );
});

test('LiveView draws running steps in place, with their last lines, and leaves the whole list at the end', () => {
  let text = '';
  const view = new LiveView({ columns: 60, rows: 24, write: (part) => (text += part) }, { explains: false });
  for (const reply of replies.slice(0, 6)) view.show(reply);
  view.show({ kind: 'output', stage: 0, text: '\n\u001B[2Jclear\u001B]0;title\u0007ed\rover\n' });
  view.show({ kind: 'stage-failed', stage: 0 });
  view.end();
  const last = text.slice(text.lastIndexOf('[+]'));
  assert.match(last, /^\[\+\] Building \d+\.\ds \(2\/3\)\n => \[dep 1\/2\] FROM base AS dep +0\.0s\n => ERROR \[dep 2\/2\] RUN make +\d+\.\ds\n {4}# one\n {4}# tw\n {4}# over\n$/);
  assert.match(text, /^WARN: Dockerfile:2:1: SomeRule: bad\n/);
});

test('explain() says for every step whether it was cached, and why not', () => {
  assert.equal(
    explain(replies),
    `STEP   INSTRUCTION                         RESULT   TIME   WHY
1      [dep 1/2] FROM base AS dep          -               changes no files
2      [dep 2/2] RUN make                  ran      1.2s   file a changed
3      [stage-1 1/1] COPY --from=dep a /   cached
`,
  );
  const printed: string[] = [];
  assert.throws(() => reportChecks(replies, (line) => printed.push(line)), (error) => isError(error, 'invalid'));
  reportChecks([plan], (line) => printed.push(line));
  assert.deepEqual(printed, ['Dockerfile:2:1: SomeRule: bad', 'no rule is broken']);
});

test('options of gantry build are read as docker reads them', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-build-cli-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'file'), 'from a file');
  const decoded = (texts: string[], environment: Record<string, string> = {}): unknown => Object.fromEntries(Object.entries(parseSecrets(texts, environment)).map(([id, value]) => [id, Buffer.from(value, 'base64').toString()]));
  assert.deepEqual(parseBuildArgs(['A=1', 'B', 'C', 'D=x=y'], { B: 'env' }), { A: '1', B: 'env', D: 'x=y' });
  assert.deepEqual(parseLabels(['a=b=c', 'd']), { a: 'b=c', d: '' });
  assert.deepEqual(decoded([`id=a,src=${folder}/file`, 'id=b,env=B', 'id=C'], { B: 'b', C: 'c' }), { a: 'from a file', b: 'b', C: 'c' });
  assert.throws(() => parseSecrets(['id=a,env=NONE'], {}), (error) => isError(error, 'not-found'));
  assert.throws(() => parseSecrets(['id=a,file=x'], {}), (error) => isError(error, 'invalid'));
  assert.deepEqual(parseSsh(['default', 'k=/s'], { SSH_AUTH_SOCK: '/agent' }), { default: '/agent', k: '/s' });
  assert.deepEqual(parseCacheOption('type=registry,ref=r/x:1,mode=max', '--cache-to'), { reference: 'r/x:1', mode: 'max', isInline: false });
  assert.throws(() => parseCacheOption('type=gha', '--cache-to'), (error) => isError(error, 'unsupported'));
  assert.deepEqual(['.', 'https://h/x.git#v1', 'https://h/x', 'git@h:x.git', 'git://h/x', 'a@b'].map(isGitUrl), [false, true, false, true, true, false]);
});

test('parseOutput() says where the result goes and how its layers are stored', async () => {
  const format = { compression: 'zstd', isForced: false, mediaTypes: 'oci' };
  assert.deepEqual(await Promise.all(['out', 'type=tar,dest=-', 'type=image,push=true', 'type=oci,dest=x,name=a:1,compression=zstd', 'type=docker'].map((text) => parseOutput(text))), [
    { type: 'local', dest: 'out' },
    { type: 'tar', dest: '-' },
    { type: 'registry', names: [], format: undefined },
    { type: 'oci', dest: 'x', names: ['a:1'], format },
    { type: 'image', names: [], format: undefined },
  ]);
  for (const text of ['type=oci', 'type=tar,dest=x,compression=gzip', 'type=image,dest=x', 'type=local,dest=x,push=true', 'type=image,push=yes', 'type=image,compressed=zstd']) await assert.rejects(parseOutput(text), (error) => isError(error, 'invalid'), text);
  await assert.rejects(parseOutput('type=cacheonly'), (error) => isError(error, 'unsupported'));
});

test('readPipedContext() takes an archive for the context, plain or compressed, and anything else for a Dockerfile', async () => {
  const archive = execFileSync('tar', ['-C', import.meta.dirname, '-cf', '-', 'plain-view.ts']);
  for (const bytes of [archive, gzipSync(archive), zstdCompressSync(archive)]) {
    using piped = await readPipedContext(Readable.from([bytes]), AbortSignal.timeout(60_000));
    assert.deepEqual([readdirSync(piped.folder), piped.dockerfile], [['plain-view.ts'], undefined]);
  }
  const text = await readPipedContext(Readable.from([Buffer.from('FROM scratch\n')]), AbortSignal.timeout(60_000));
  assert.deepEqual([readdirSync(text.folder), text.dockerfile], [[], 'FROM scratch\n']);
  text[Symbol.dispose]();
  assert.equal(existsSync(text.folder), false);
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(600)]) await assert.rejects(readPipedContext(Readable.from([bytes]), AbortSignal.timeout(60_000)), (error) => isError(error, 'invalid'));
});
