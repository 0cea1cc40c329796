import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { GantryError, isError } from '../../kernel/mod.ts';
import { formatTarHeader, tarEnd, type TarHeader, tarPadding } from '../../wire/mod.ts';
import { errorMessage } from '../docker/docker-error.ts';
import { LayerWriter } from './layer-writer.ts';
import { unpackContext } from './unpack-context.ts';
import { unpackArchive, unpackLayer } from './unpack-layer.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: layers keep owners';
const { signal } = new AbortController();
const options = { what: 'the archive', limits: { maxBytes: 200, maxEntries: 10, maxNameBytes: 4096 } };
/** Stands for two bytes that are not UTF-8. */
const badBytes = 'QQ';
/** Names that nothing else on the machine has. */
const own = ['gantry-fuzz-a', 'gantry-fuzz-b', 'gantry-fuzz-c'];

/** A folder to unpack into, beside one that must stay as it is: `facts` tells of every change there. */
function testFolders() {
  const base = mkdtempSync(join(tmpdir(), 'gantry-paths-'));
  const [root, outside] = [join(base, 'root'), join(base, 'outside')];
  mkdirSync(root, 0o700);
  mkdirSync(join(outside, 'folder'), { recursive: true });
  for (const name of ['canary', 'folder/canary']) writeFileSync(join(outside, name), 'alive');
  const facts = (): unknown[] => [
    readdirSync(base).toSorted(),
    // Whoever touches an inode changes its ctime, and a hard link its count.
    ...['', 'canary', 'folder', 'folder/canary'].map((name) => {
      const { ino, nlink, mode, uid, gid, size, ctimeNs } = lstatSync(join(outside, name), { bigint: true });
      return [ino, nlink, mode, uid, gid, size, ctimeNs, name.endsWith('canary') ? readFileSync(join(outside, name), 'utf8') : readdirSync(join(outside, name))];
    }),
    ['/', tmpdir(), process.cwd()].flatMap((folder) => own.filter((name) => existsSync(join(folder, name)))),
  ];
  return { root, outside, facts, [Symbol.dispose]: () => rmSync(base, { recursive: true }) };
}

const part = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom(...own) },
  { weight: 4, arbitrary: fc.constantFrom('..', '.', '', '.wh.gantry-fuzz-a', '.wh..wh..opq', '.wh.', '.wh..', '.wh...', '.wh..wh.x', 'outside', 'canary') },
  { weight: 1, arbitrary: fc.constantFrom('x'.repeat(255), 'x'.repeat(256), 'ü'.repeat(200), badBytes, 'line\nbreak', '-C', '@x', ' ', '\\', '*', '%s', '\u0001') },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 8 }).filter((text) => text.isWellFormed() && !text.includes('\0')) },
);
/** `OUT` stands for the folder beside. */
const path = fc.oneof(
  { weight: 12, arbitrary: fc.tuple(fc.constantFrom('', '', '', '', './', '/', '../', '../../', 'OUT/', '/proc/self/root/OUT/', '../outside/'), fc.array(part, { maxLength: 4 }), fc.constantFrom('', '', '', '/', '/.', '/..')).map(([start, parts, end]) => `${start}${parts.join('/')}${end}`) },
  { weight: 1, arbitrary: fc.nat(30).map((count) => `${'x'.repeat(200)}/`.repeat(count)) },
  { weight: 1, arbitrary: fc.constantFrom('OUT', 'OUT/canary', '../outside/canary', '/proc/self/root', '/proc/self/cwd', '/proc/self/fd/0', '/', '.', '..', '', 'x'.repeat(5000)) },
);
const type = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('file' as const, 'directory' as const, 'symlink' as const, 'hardlink' as const) },
  { weight: 1, arbitrary: fc.constantFrom('fifo' as const, 'character-device' as const, 'block-device' as const) },
);
const member = fc.record({ path, linkPath: path, type, mode: fc.constantFrom(0o644, 0o755, 0, 0o4777, 0o7777), uid: fc.constantFrom(0, 1, 65_534), content: fc.string({ unit: 'binary-ascii', maxLength: 30 }) });
type Member = typeof member extends fc.Arbitrary<infer T> ? T : never;
/** A chain of links, symbolic and hard, that ends beside, and what is written through it, perhaps with a folder first where the link will be. */
const chain = fc.tuple(fc.constantFrom('OUT', 'OUT/folder', 'OUT/canary', '../outside', '../outside/canary', '/proc/self/root/OUT'), fc.nat(2), fc.boolean(), fc.boolean(), member, part).map(
  ([end, length, isHard, hadFolder, last, below]) => {
    const steps = [end, ...own.slice(0, length + 1)];
    const made = steps.slice(1).map((name, index): Member => ({ ...last, path: name, linkPath: steps[index] ?? end, type: isHard && index > 0 ? 'hardlink' : 'symlink' }));
    const through = `${own[length] ?? ''}/`;
    const folder: Member = { ...last, path: through, type: 'directory' };
    return [...(hadFolder ? [folder] : []), ...made, { ...last, path: `${through}${below}` }, { ...last, path: through.slice(0, -1) }];
  },
);
/** What nobody refuses, unless for what is there already: without it, that much could go by with nothing unpacked. */
const tame = fc.array(fc.record({
  path: fc.constantFrom(...own), linkPath: fc.constant('anywhere'), type: fc.constantFrom('file' as const, 'symlink' as const), mode: fc.constant(0o644), uid: fc.constant(0), content: fc.constant('text'),
}), { minLength: 1, maxLength: 3 });
const wild = fc.array(fc.oneof({ weight: 4, arbitrary: member.map((one) => [one]) }, { weight: 1, arbitrary: chain }), { minLength: 1, maxLength: 10 }).map((parts) => parts.flat());
const members: fc.Arbitrary<Member[]> = fc.oneof({ weight: 5, arbitrary: wild }, { weight: 1, arbitrary: tame });
/** Symbolic links that are there already. */
const links = fc.dictionary(fc.constantFrom(...own), path.filter((text) => text !== '' && text.length < 4000), { maxKeys: 3 });

function headerOf({ content, ...entry }: Member, outside: string): TarHeader {
  // A file whose name ends with a slash is a folder to whoever reads it.
  const given = entry.type === 'file' && entry.path.endsWith('/') ? { ...entry, type: 'directory' as const } : entry;
  const place = (text: string): string => text.replaceAll('OUT', outside);
  const isLink = given.type === 'symlink' || given.type === 'hardlink';
  return {
    ...given, path: place(given.path), linkPath: isLink ? place(given.linkPath) : '', gid: given.uid, sizeBytes: given.type === 'file' ? Buffer.byteLength(content) : 0,
    mtimeSeconds: 1_700_000_000, deviceMajor: 1, deviceMinor: 3, xattrs: new Map(),
  };
}

/** The archive with its bad bytes in place; the last block is the one with a checksum of names. */
function tarOf(list: readonly Member[], outside: string): Buffer {
  const blocks = list.flatMap((entry) => {
    const header = headerOf(entry, outside);
    const bytes = formatTarHeader(header);
    for (let at = bytes.indexOf(badBytes); at >= 0; at = bytes.indexOf(badBytes)) bytes.set([0xff, 0xfe], at);
    const block = bytes.subarray(-512);
    const sum = block.fill(0x20, 148, 156).reduce((total, byte) => total + byte, 0);
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [bytes, ...(header.type === 'file' ? [Buffer.from(entry.content), Buffer.alloc(tarPadding(header.sizeBytes))] : [])];
  });
  return Buffer.concat([...blocks, tarEnd()]);
}

/** What a name is once it was read: bytes that are no UTF-8 are replaced. */
const decoded = (name: string): string => name.replaceAll(badBytes, '\ufffd\ufffd');

/** As the archive writes it, and as the guard does. */
const namesOf = (name: string): string[] => [name, name.split('/').filter((step) => step !== '' && step !== '.').join('/')];

type Unpack = (tar: Readable, folder: string) => Promise<unknown>;
interface Expectation { readonly isNamed: (message: string, names: readonly string[]) => boolean; readonly numRuns: number }

/** Nothing outside changes, an error is of ours and names an entry, and it ends. */
async function checkPaths(unpack: Unpack, { isNamed, numRuns }: Expectation, existing: fc.Arbitrary<Record<string, string>>): Promise<void> {
  const seen = { unpacked: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(members, existing, async (list, before) => {
      using folders = testFolders();
      for (const [name, target] of Object.entries(before)) symlinkSync(target.replaceAll('OUT', folders.outside), join(folders.root, name));
      const facts = folders.facts();
      try {
        await unpack(Readable.from([tarOf(list, folders.outside)]), folders.root);
        seen.unpacked += 1;
      } catch (error) {
        assert.ok(isError(error), String(error));
        seen.refused += 1;
        assert.ok(isNamed(errorMessage(error), list.flatMap((entry) => namesOf(decoded(headerOf(entry, folders.outside).path)))), errorMessage(error));
      }
      assert.deepEqual(folders.facts(), facts);
    }),
    { numRuns, timeout: 60_000 },
  );
  assert.ok(seen.unpacked > 0 && seen.refused > 0, JSON.stringify(seen));
}

const namesEntry = (message: string, names: readonly string[]): boolean => message.startsWith('the archive: entry ') || message.startsWith('cannot unpack the archive: entry ') ? names.some((name) => message.includes(`entry ${JSON.stringify(name.slice(0, 300))}`)) : false;
const none = fc.constant({});

test('unpackLayer() leaves nothing outside whatever names and links a layer has, and names the entry that it refuses', { skip }, async () => {
  await checkPaths((tar, folder) => unpackLayer(tar, folder, options), { isNamed: namesEntry, numRuns: 200 }, none);
});

test('unpackContext() leaves nothing outside whatever names and links a build context has, and names the entry that it refuses', { skip }, async () => {
  await checkPaths((tar, folder) => unpackContext(tar, folder, options, signal), { isNamed: namesEntry, numRuns: 200 }, none);
});

test('unpackArchive() leaves nothing outside whatever names and links an archive of docker cp and the folder have', { skip }, async () => {
  // What the program could not make it names itself, by the last part at least.
  const isNamed = (message: string, names: readonly string[]): boolean => namesEntry(message, names) || (message.startsWith('cannot unpack the archive') && names.some((name) => message.includes(JSON.stringify(basename(name)).slice(1, -1))));
  await checkPaths((tar, folder) => unpackArchive(tar, folder, options, signal), { isNamed, numRuns: 80 }, links);
});

test('LayerWriter leaves nothing outside even of names that nobody has checked', { skip }, async () => {
  await fc.assert(
    fc.asyncProperty(members, links, async (list, before) => {
      using folders = testFolders();
      for (const [name, target] of Object.entries(before)) symlinkSync(target.replaceAll('OUT', folders.outside), join(folders.root, name));
      const facts = folders.facts();
      using writer = new LayerWriter(folders.root);
      for (const entry of list) await writer.write(headerOf(entry, folders.outside), content(entry)).catch((error: unknown) => assert.ok(error instanceof Error));
      try {
        writer.finish();
      } catch (error) {
        assert.ok(error instanceof GantryError || error instanceof Error);
      }
      assert.deepEqual(folders.facts(), facts);
    }),
    { numRuns: 150, timeout: 60_000 },
  );
});

async function* content({ content: text }: Member): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}
