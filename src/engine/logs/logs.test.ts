import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { currentLogName, findTail, rotateLogFiles } from './log-files.ts';
import { readLog, readRecords } from './log-reader.ts';
import { bytesOf, LogRecordParser, parseLogLine, timeNanos } from './log-record.ts';

const signal = AbortSignal.timeout(10_000);
const line = (text: string, tag = 'F', second = 0): string => `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000000+00:00 stdout ${tag} ${text}\n`;

function folder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'gantry-log-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

test('LogRecordParser reads the same records however the bytes are cut', () => {
  const content = fc.array(fc.record({ text: fc.string().filter((text) => !text.includes('\n')), tag: fc.constantFrom('F', 'P') }), { maxLength: 20 });
  fc.assert(
    fc.property(content, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (records, sizes) => {
      const bytes = Buffer.from(records.map(({ text, tag }) => line(text, tag)).join(''));
      const parser = new LogRecordParser();
      const found: string[] = [];
      for (let offset = 0, index = 0; offset < bytes.length; index += 1) {
        const size = sizes[index % sizes.length] ?? 1;
        for (const record of parser.push(bytes.subarray(offset, offset + size))) found.push(bytesOf(record).toString());
        offset += size;
      }
      assert.deepEqual(found, records.map(({ text, tag }) => (tag === 'F' ? `${Buffer.from(text).toString()}\n` : Buffer.from(text).toString())));
    }),
  );
});

test('parseLogLine() drops what is no record', () => {
  for (const text of ['', 'nonsense', '2026 stdout', 't stdin F x', 't stdout X x', `${'t'.repeat(80)} stdout F x`]) assert.equal(parseLogLine(Buffer.from(text)), undefined, text);
});

test('timeNanos() compares times of different zones and precisions', () => {
  assert.equal(timeNanos('2026-01-01T01:00:00.5+01:00'), timeNanos('2026-01-01T00:00:00.500000000Z'));
  assert.deepEqual([timeNanos('yesterday'), timeNanos('1970-01-01T00:00:00.000000001Z')], [undefined, 1n]);
});

test('findTail() counts lines across rotated files and joins partial records', async () => {
  using logs = folder();
  writeFileSync(join(logs.path, `${currentLogName}.2`), line('1') + line('2'));
  writeFileSync(join(logs.path, `${currentLogName}.1`), line('3') + line('4a', 'P') + line('4b'));
  writeFileSync(join(logs.path, currentLogName), line('5') + line('6', 'P'));
  const texts = async (tailLines: number): Promise<string> => {
    let text = '';
    for await (const record of readLog(logs.path, { follow: false, stdout: true, stderr: true, tailLines }, { isLive: () => false, onEnd: never }, signal)) text += bytesOf(record).toString();
    return text;
  };
  assert.deepEqual(await Promise.all([0, 1, 2, 3, 4, 5, 6, 99].map(texts)), ['', '6', '5\n6', '4a4b\n5\n6', '3\n4a4b\n5\n6', '2\n3\n4a4b\n5\n6', '1\n2\n3\n4a4b\n5\n6', '1\n2\n3\n4a4b\n5\n6']);
});

test('findTail() finds the place in files larger than a block', async () => {
  using logs = folder();
  const long = Array.from({ length: 5000 }, (_, index) => line(`${index} ${'x'.repeat(index % 97)}`));
  writeFileSync(join(logs.path, currentLogName), long.join(''));
  for (const lines of [1, 700, 1500, 4999, 5000]) {
    const position = await findTail(logs.path, lines);
    assert.equal(position?.offset, Buffer.byteLength(long.slice(0, 5000 - lines).join('')), String(lines));
  }
});

test('readLog() keeps to streams and times', async () => {
  using logs = folder();
  writeFileSync(join(logs.path, currentLogName), [0, 1, 2, 3].map((second) => line(String(second), 'F', second)).join('') + line('e', 'F', 2).replace('stdout', 'stderr'));
  const query = { follow: false, stdout: true, stderr: false, since: '2026-01-01T00:00:01Z', until: '2026-01-01T00:00:02Z' };
  const found: string[] = [];
  for await (const { text } of readLog(logs.path, query, { isLive: () => false, onEnd: never }, signal)) found.push(text.toString());
  assert.deepEqual(found, ['1', '2']);
});

test('readRecords() follows a growing log through rotations and ends with its writer', async () => {
  using logs = folder();
  const current = join(logs.path, currentLogName);
  let isLive = true;
  let end = (): void => undefined;
  const writer = {
    isLive: () => isLive,
    onEnd: (listener: () => void) => {
      end = listener;
      return never();
    },
  };
  writeFileSync(current, line('0'));
  const found: string[] = [];
  const reading = (async () => {
    for await (const records of readRecords(logs.path, undefined, writer, signal)) found.push(...records.map(({ text }) => text.toString()));
  })();
  const expected = ['0'];
  for (let index = 1; index <= 30; index += 1) {
    // Rotation, and the writer's last lines in the file that it has not let go of yet.
    if (index % 10 === 0) {
      await rotateLogFiles(logs.path, 5);
      appendFileSync(`${current}.1`, line(`late ${index}`));
      expected.push(`late ${index}`);
    }
    appendFileSync(current, line(String(index)));
    expected.push(String(index));
    if (index % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  isLive = false;
  end();
  await reading;
  assert.deepEqual(found, expected);
});

test('rotateLogFiles() keeps as many files as asked', async () => {
  using logs = folder();
  for (let index = 0; index < 5; index += 1) {
    writeFileSync(join(logs.path, currentLogName), line(String(index)));
    await rotateLogFiles(logs.path, 3);
  }
  assert.deepEqual(readdirSync(logs.path).toSorted(), [`${currentLogName}.1`, `${currentLogName}.2`]);
});

function never(): Disposable {
  return { [Symbol.dispose]: () => undefined };
}
