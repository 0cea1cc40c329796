import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isError } from '../kernel/mod.ts';
import { formatTarHeader, parsePaxRecords, tarEnd, type TarEntryType, type TarHeader, tarPadding } from './tar-header.ts';
import { readTar } from './tar-reader.ts';

const plain: TarHeader = {
  type: 'file', path: 'a', linkPath: '', mode: 0o644, uid: 0, gid: 0, sizeBytes: 0, mtimeSeconds: 0, deviceMajor: 0, deviceMinor: 0, xattrs: new Map(),
};

interface Member { header: TarHeader; text: string }

function archive(members: readonly { header: TarHeader; content?: Buffer }[]): Buffer {
  const parts = members.flatMap(({ header, content = Buffer.alloc(0) }) => [formatTarHeader(header), content, Buffer.alloc(tarPadding(content.length))]);
  return Buffer.concat([...parts, tarEnd()]);
}

async function* chunked(bytes: Buffer, size: number): AsyncIterable<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function members(bytes: Buffer, chunkBytes = 700): Promise<Member[]> {
  const list: Member[] = [];
  for await (const { header, content } of readTar(chunked(bytes, chunkBytes))) {
    let text = '';
    for await (const chunk of content) text += chunk.toString('latin1');
    list.push({ header, text });
  }
  return list;
}

test('formatTarHeader() and readTar() keep every value', async () => {
  const cases: Partial<TarHeader>[] = [
    { path: 'usr/bin/node', mode: 0o4755, uid: 1000, gid: 100, mtimeSeconds: 1_700_000_000 },
    { path: 'x'.repeat(101) },
    { path: `${'long/'.repeat(200)}name` },
    { path: 'grüße/日本' },
    { type: 'directory', path: 'etc/' },
    { type: 'symlink', path: 'bin', linkPath: 'usr/bin' },
    { type: 'symlink', path: 'l', linkPath: `../${'y'.repeat(150)}` },
    { type: 'hardlink', path: 'b', linkPath: 'a' },
    { type: 'character-device', path: 'null', deviceMajor: 1, deviceMinor: 3 },
    { type: 'fifo', path: 'pipe' },
    { uid: 2_097_152, gid: 4_294_967_294 },
    { mtimeSeconds: -1 },
    { mtimeSeconds: 1_700_000_000.25 },
    { mtimeSeconds: 9_000_000_000 },
    { xattrs: new Map([['security.capability', Buffer.from([1, 0, 0, 2, 0, 10, 61])], ['user.empty', Buffer.alloc(0)]]) },
  ];
  const headers = cases.map((changed) => ({ ...plain, ...changed }));
  assert.deepEqual((await members(archive(headers.map((header) => ({ header }))))).map(({ header }) => header), headers);
});

test('readTar() keeps any tree of any chunking', async () => {
  const name = fc.string({ minLength: 1, maxLength: 300, unit: 'grapheme' }).filter((text) => !text.includes('\0') && !text.endsWith('/') && text.isWellFormed());
  const member = fc.record({ path: name, content: fc.uint8Array({ maxLength: 2000 }), mode: fc.integer({ min: 0, max: 0o7777 }), mtimeSeconds: fc.maxSafeInteger() });
  await fc.assert(
    fc.asyncProperty(fc.array(member, { maxLength: 6 }), fc.integer({ min: 1, max: 1500 }), async (list, chunkBytes) => {
      const made = list.map(({ content, ...rest }) => ({ header: { ...plain, ...rest, sizeBytes: content.length }, content: Buffer.from(content) }));
      const read = await members(archive(made), chunkBytes);
      assert.deepEqual(read.map(({ header }) => header), made.map(({ header }) => header));
      assert.deepEqual(read.map(({ text }) => text), made.map(({ content }) => content.toString('latin1')));
    }),
    { numRuns: 60 },
  );
});

test('readTar() refuses what is cut off, damaged or not supported', async () => {
  const good = archive([{ header: { ...plain, sizeBytes: 1000 }, content: Buffer.alloc(1000, 'x') }]);
  const damaged = Buffer.from(good);
  damaged[3] = 7;
  const withFlag = (flag: string): Buffer => {
    const block = formatTarHeader(plain);
    block.write(flag, 156);
    block.fill(0x20, 148, 156);
    block.write(`${block.reduce((total, byte) => total + byte, 0).toString(8).padStart(6, '0')}\0 `, 148);
    return block;
  };
  const cases: [name: string, bytes: Buffer, code: string][] = [
    ['cut off in a header', good.subarray(0, 300), 'invalid'],
    ['cut off in the content', good.subarray(0, 900), 'invalid'],
    ['a wrong checksum', damaged, 'invalid'],
    ['not an archive', Buffer.alloc(2048, 'no'), 'invalid'],
    ['an old sparse file', withFlag('S'), 'unsupported'],
    ['a volume label', withFlag('V'), 'unsupported'],
  ];
  for (const [name, bytes, code] of cases) await assert.rejects(members(bytes), (error) => isError(error) && error.code === code, name);
});

test('readTar() takes an archive that ends with the last byte of its last member', async () => {
  const whole = archive([{ header: { ...plain, sizeBytes: 1000 }, content: Buffer.alloc(1000, 'x') }]);
  for (const length of [512 + 1000, 512 + 1001, 512 + 1024]) assert.equal((await members(whole.subarray(0, length))).length, 1, `${length} bytes`);
});

test('readTar() skips content that nobody reads and drains the source', async () => {
  const bytes = archive([{ header: { ...plain, path: 'one', sizeBytes: 3000 }, content: Buffer.alloc(3000) }, { header: { ...plain, path: 'two' } }]);
  let isAtEnd = false;
  const source = async function* (): AsyncIterable<Buffer> {
    yield* chunked(Buffer.concat([bytes, Buffer.alloc(9000)]), 512);
    isAtEnd = true;
  };
  const paths: string[] = [];
  for await (const { header } of readTar(source())) paths.push(header.path);
  assert.deepEqual([paths, isAtEnd], [['one', 'two'], true]);
});

test('readTar() never fails otherwise than with a GantryError', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 3000 }), fc.nat(2000), fc.nat(255), async (noise, at, byte) => {
      const bytes = archive([{ header: { ...plain, path: 'x'.repeat(120), sizeBytes: 5 }, content: Buffer.from('hello') }]);
      bytes[at % bytes.length] = byte;
      for (const input of [Buffer.from(noise), bytes]) {
        await members(input).catch((error: unknown) => assert.ok(isError(error, 'invalid', 'unsupported', 'exhausted'), String(error)));
      }
    }),
    { numRuns: 300 },
  );
});

test('parsePaxRecords() refuses malformed records', () => {
  for (const text of ['9 a=b\n', '6 a=bc', '0 a=b\n', '6 abc\n\n', ' a=b\n', '99999999999 a=b\n', '6 a=b\n5']) {
    assert.throws(() => parsePaxRecords(Buffer.from(text)), (error) => isError(error, 'invalid'), text);
  }
  assert.deepEqual(parsePaxRecords(Buffer.from('6 a=b\n9 key==\n\n')), new Map([['a', Buffer.from('b')], ['key', Buffer.from('=\n')]]));
});

for (const [program, args] of [['tar', ['--format=gnu']], ['tar', ['--format=pax']], ['bsdtar', ['--format=pax']], ['bsdtar', ['--format=ustar']]] as const) {
  test(`readTar() reads what ${program} ${args.join(' ')} writes, and the other way round`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gantry-tar-'));
    try {
      const deep = program === 'bsdtar' && args[0] === '--format=ustar' ? 'd'.repeat(90) : 'd'.repeat(120);
      mkdirSync(join(folder, 'in', deep), { recursive: true });
      writeFileSync(join(folder, 'in', deep, 'file'), 'content');
      chmodSync(join(folder, 'in', deep, 'file'), 0o640);
      utimesSync(join(folder, 'in', deep, 'file'), 1_600_000_000, 1_600_000_000);
      linkSync(join(folder, 'in', deep, 'file'), join(folder, 'in', 'hard'));
      symlinkSync('e'.repeat(95), join(folder, 'in', 'soft'));
      const bytes = execFileSync(program, [...args, '--numeric-owner', '-cf', '-', '-C', join(folder, 'in'), '.']);
      const read = await members(bytes);
      const kinds = new Map(read.map(({ header }) => [header.path, header.type] as [string, TarEntryType]));
      assert.deepEqual([kinds.get('./soft'), kinds.get(`./${deep}/`)], ['symlink', 'directory']);
      const file = read.find(({ header }) => header.type === 'file');
      assert.deepEqual([file?.text, file?.header.mode, file?.header.mtimeSeconds], ['content', 0o640, 1_600_000_000]);
      const again = archive(read.map(({ header, text }) => ({ header, content: Buffer.from(text) })));
      const listing = (input: Buffer): string => execFileSync(program, ['--numeric-owner', '-tvf', '-'], { input }).toString();
      assert.equal(listing(again), listing(bytes));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}
