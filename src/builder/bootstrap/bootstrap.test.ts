import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Digest, ImageConfig } from '../../api/mod.ts';
import { isError, runCommand } from '../../kernel/mod.ts';
import type { BootstrapStore } from '../ports.ts';
import { formatSources, parseLines, parseStanzas, releaseSources } from './apt-sources.ts';
import { bootstrapImage, bootstrapNames } from './bootstrap-image.ts';

const { signal } = new AbortController();
const environment = { certificateBundle: undefined, proxyVariables: {} };
const needsRoot = { skip: process.getuid?.() === 0 && existsSync('/bin/busybox') ? false : 'needs root and busybox-static' };

test('parseLines() reads one-line sources', () => {
  assert.deepEqual(parseLines('# deb http://x y z\ndeb http://mirror.test/debian bookworm main contrib # comment\ndeb [arch=amd64 signed-by=/k.gpg] https://other.test/ stable main\ndeb-src http://mirror.test/debian bookworm main\n'), [
    { uris: ['http://mirror.test/debian'], suites: ['bookworm'], components: ['main', 'contrib'] },
    { uris: ['https://other.test/'], suites: ['stable'], components: ['main'] },
  ]);
});

test('parseStanzas() reads deb822 sources', () => {
  const text = `Types: deb deb-src
# a comment
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/x.gpg

Types: deb
Enabled: no
URIs: http://off.test
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.test
Suites: bookworm
Components: main
`;
  assert.deepEqual(parseStanzas(text), [{ uris: ['http://mirror.test/debian'], suites: ['bookworm', 'bookworm-updates'], components: ['main', 'contrib'] }]);
});

test("releaseSources() takes the release's own suites and the component main", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-apt-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [list, stanza] = [join(folder, 'a.list'), join(folder, 'b.sources')];
  writeFileSync(list, 'deb http://tools.test/debian bookworm stable\ndeb http://mirror.test/debian bookworm main non-free\ndeb http://mirror.test/debian trixie main\n');
  writeFileSync(stanza, 'Types: deb\nURIs: http://security.test\nSuites: bookworm-security other\nComponents: main\n');
  const sources = await releaseSources([list, stanza, join(folder, 'none.list')], 'bookworm');
  assert.deepEqual(sources, [
    { uris: ['http://mirror.test/debian'], suites: ['bookworm'], components: ['main'] },
    { uris: ['http://security.test'], suites: ['bookworm-security'], components: ['main'] },
  ]);
  assert.deepEqual(parseStanzas(formatSources(sources)), sources);
});

/** Keeps what it is given, to be compared. */
class MemoryStore implements BootstrapStore {
  readonly images = new Map<string, { id: Digest; config: ImageConfig }>();
  readonly layers: Buffer[] = [];

  findImage(reference: string): Digest | undefined {
    return this.images.get(reference)?.id;
  }

  async importLayer(tar: AsyncIterable<unknown>): Promise<{ diffId: Digest; sizeBytes: number }> {
    const chunks: Buffer[] = [];
    for await (const chunk of tar) chunks.push(chunk as Buffer);
    this.layers.push(Buffer.concat(chunks));
    return { diffId: `sha256:${String(this.layers.length).repeat(64)}` as Digest, sizeBytes: 1 };
  }

  async createImage(config: ImageConfig, references: readonly string[]): Promise<Digest> {
    const id = `sha256:${'f'.repeat(64)}` as Digest;
    for (const reference of references) this.images.set(reference, { id, config });
    return id;
  }
}

test('bootstrapImage() makes busybox, the same each time, once for the machine', needsRoot, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-bootstrap-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const stores: MemoryStore[] = [];
  for (const cacheFolder of [join(folder, 'one'), join(folder, 'one'), join(folder, 'two')]) {
    const store = new MemoryStore();
    await bootstrapImage('busybox', store, { cacheFolder, environment }, () => undefined, signal);
    stores.push(store);
  }
  const [first, second, third] = stores.map(({ layers }) => layers[0]);
  assert.ok(first !== undefined && second?.equals(first) === true && third?.equals(first) === true);
  const image = stores[0]?.images.get('docker.io/library/busybox:latest');
  assert.deepEqual(image?.config.config, { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['sh'], Labels: { 'dev.gantry.bootstrapped': 'true' } });
  const [tar] = readdirSync(join(folder, 'one'));
  const { stdout } = await runCommand('bsdtar', ['-tf', join(folder, 'one', tar ?? '')], {}, signal);
  for (const path of ['./bin/busybox', './bin/sh', './etc/passwd', './tmp/', './usr/bin/env']) assert.ok(stdout.split('\n').includes(path), path);
});

test('bootstrapImage() leaves an image alone that is there, and knows its names', async () => {
  const store = new MemoryStore();
  store.images.set('docker.io/library/node:24-slim', { id: `sha256:${'1'.repeat(64)}` as Digest, config: { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } } });
  const lines: string[] = [];
  assert.equal(await bootstrapImage('docker.io/library/node:24-slim', store, { cacheFolder: '/nowhere', environment }, (line) => lines.push(line), signal), `sha256:${'1'.repeat(64)}`);
  assert.deepEqual(lines, ['node:24-slim is already there']);
  await assert.rejects(bootstrapImage('alpine', store, { cacheFolder: '/nowhere', environment }, () => undefined, signal), (error) => isError(error, 'not-found') && bootstrapNames.every((name) => error.message.includes(name)));
});

test('bootstrapImage() removes what a crash left and never takes a half layer', needsRoot, async (t) => {
  const cacheFolder = mkdtempSync(join(tmpdir(), 'gantry-bootstrap-'));
  t.after(() => rmSync(cacheFolder, { recursive: true }));
  // No process has the highest number there can be.
  const leftover = join(cacheFolder, 'work-4194304-x');
  mkdirSync(leftover);
  writeFileSync(join(leftover, 'layer.tar'), 'half');
  await bootstrapImage('busybox', new MemoryStore(), { cacheFolder, environment }, () => undefined, signal);
  assert.equal(existsSync(leftover), false);
  assert.deepEqual(readdirSync(cacheFolder).map((name) => name.replace(/amd64|arm64/, 'arch')), ['busybox-arch-2.tar']);
  assert.ok(readFileSync(join(cacheFolder, readdirSync(cacheFolder)[0] ?? '')).length > 1_000_000);
});
