import { GantryError } from '../kernel/mod.ts';

export type TarEntryType = 'file' | 'hardlink' | 'symlink' | 'character-device' | 'block-device' | 'directory' | 'fifo';

/** One member of an archive: POSIX.1-2017 pax interchange format, with what GNU tar adds for long names and large numbers. */
export interface TarHeader {
  readonly type: TarEntryType;
  /** As written: may be absolute, may hold `..`, may end with a slash. UTF-8. */
  readonly path: string;
  /** Target of links; empty otherwise. */
  readonly linkPath: string;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  /** Seconds since the epoch; may be negative and fractional (to the nanosecond as far as a double holds it). */
  readonly mtimeSeconds: number;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Extended attributes (`SCHILY.xattr.` records), by name. */
  readonly xattrs: ReadonlyMap<string, Buffer>;
}

export const tarBlockBytes = 512;

const typeFlags: Readonly<Record<TarEntryType, string>> = {
  file: '0', hardlink: '1', symlink: '2', 'character-device': '3', 'block-device': '4', directory: '5', fifo: '6',
};
const typesByFlag = new Map(Object.entries(typeFlags).map(([type, flag]) => [flag, type as TarEntryType]));
const xattrPrefix = 'SCHILY.xattr.';

/** A ustar block with its raw type flag, before extended records are applied. */
export interface TarBlock { readonly flag: string; readonly header: TarHeader }

/** Parses one header block; undefined for a block of zeros (end of archive). `invalid` when the checksum or a number is wrong. */
export function parseTarBlock(block: Buffer): TarBlock | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  const stored = parseNumber(block, 148, 8, 'checksum');
  let sum = 8 * 0x20;
  for (let at = 0; at < tarBlockBytes; at += 1) if (at < 148 || at >= 156) sum += block[at] ?? 0;
  if (sum !== stored) throw malformed('a header has a wrong checksum');
  const flag = String.fromCharCode(block[156] ?? 0);
  const isPosix = block.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isPosix ? text(block, 345, 155) : '';
  const name = text(block, 0, 100);
  const path = prefix === '' ? name : `${prefix}/${name}`;
  // Before POSIX a directory was a regular file whose name ends with a slash.
  const type = flag === '\0' || flag === '7' || flag === '0' ? (path.endsWith('/') ? 'directory' : 'file') : (typesByFlag.get(flag) ?? 'file');
  const isDevice = type === 'character-device' || type === 'block-device';
  return {
    flag,
    header: {
      type,
      path,
      linkPath: text(block, 157, 100),
      mode: parseNumber(block, 100, 8, 'mode') & 0o7777,
      uid: parseNumber(block, 108, 8, 'uid'),
      gid: parseNumber(block, 116, 8, 'gid'),
      sizeBytes: parseNumber(block, 124, 12, 'size'),
      mtimeSeconds: parseNumber(block, 136, 12, 'mtime'),
      deviceMajor: isDevice ? parseNumber(block, 329, 8, 'device number') : 0,
      deviceMinor: isDevice ? parseNumber(block, 337, 8, 'device number') : 0,
      xattrs: new Map(),
    },
  };
}

/** Whether the flag is one of a member (and not of records about the next member). */
export function isMemberFlag(flag: string): boolean {
  return flag === '\0' || flag === '7' || typesByFlag.has(flag);
}

/** Parses `length key=value\n` records (pax, "Extended Header"). */
export function parsePaxRecords(bytes: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const digits = space < 0 || space - at > 10 ? '' : bytes.toString('latin1', at, space);
    const end = /^[1-9]\d*$/.test(digits) ? at + Number(digits) : -1;
    const equals = bytes.indexOf(0x3d, space);
    if (end < 0 || end > bytes.length || equals < 0 || equals >= end || bytes[end - 1] !== 0x0a) throw malformed('an extended header is malformed');
    records.set(bytes.toString('utf8', space + 1, equals), bytes.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** The header with the records of its extended header applied. Unknown records are left out, as POSIX allows; sparse files are `unsupported`. */
export function applyPaxRecords(header: TarHeader, records: ReadonlyMap<string, Buffer>): TarHeader {
  const changed: { -readonly [K in keyof TarHeader]?: TarHeader[K] } = {};
  const xattrs = new Map(header.xattrs);
  for (const [key, value] of records) {
    if (key === 'path') changed.path = paxText(value);
    else if (key === 'linkpath') changed.linkPath = paxText(value);
    else if (key === 'size') changed.sizeBytes = paxNumber(key, value, /^\d+$/);
    else if (key === 'uid' || key === 'gid') changed[key] = paxNumber(key, value, /^\d+$/);
    else if (key === 'mtime') changed.mtimeSeconds = paxNumber(key, value, /^-?\d+(\.\d*)?$/);
    else if (key.startsWith(xattrPrefix)) xattrs.set(key.slice(xattrPrefix.length), Buffer.from(value));
    else if (key.startsWith('GNU.sparse.')) throw new GantryError('unsupported', `${header.path}: sparse files are not supported in archives`);
  }
  const path = changed.path ?? header.path;
  const type = header.type === 'file' && path.endsWith('/') ? 'directory' : header.type;
  return { ...header, ...changed, type, xattrs };
}

/**
 * The header's blocks. The bytes depend only on the values: what does not fit ustar goes into an extended header
 * named by the entry, so that two archives of equal trees are equal.
 */
export function formatTarHeader(header: TarHeader): Buffer {
  const records: [string, Buffer][] = [];
  const record = (key: string, value: string | Buffer): void => void records.push([key, Buffer.from(value)]);
  const hasData = header.type === 'file';
  const fields = {
    path: fitsText(header.path) ? header.path : (record('path', header.path), ''),
    linkPath: fitsText(header.linkPath) ? header.linkPath : (record('linkpath', header.linkPath), ''),
    uid: fitsOctal(header.uid, 7) ? header.uid : (record('uid', String(header.uid)), 0),
    gid: fitsOctal(header.gid, 7) ? header.gid : (record('gid', String(header.gid)), 0),
    size: !hasData ? 0 : fitsOctal(header.sizeBytes, 11) ? header.sizeBytes : (record('size', String(header.sizeBytes)), 0),
    mtime: fitsOctal(header.mtimeSeconds, 11) ? header.mtimeSeconds : (record('mtime', formatTime(header.mtimeSeconds)), 0),
  };
  for (const name of [...header.xattrs.keys()].toSorted()) record(xattrPrefix + name, header.xattrs.get(name) ?? '');
  const block = formatBlock(typeFlags[header.type], { ...fields, mode: header.mode, major: header.deviceMajor, minor: header.deviceMinor });
  if (records.length === 0) return block;
  const body = Buffer.concat(records.map(([key, value]) => formatPaxRecord(key, value)));
  const extended = formatBlock('x', { path: 'PaxHeaders.0', linkPath: '', uid: 0, gid: 0, size: body.length, mtime: 0, mode: 0o644, major: 0, minor: 0 });
  return Buffer.concat([extended, body, Buffer.alloc(tarPadding(body.length)), block]);
}

/** Zero bytes that follow `sizeBytes` of content. */
export function tarPadding(sizeBytes: number): number {
  return (tarBlockBytes - (sizeBytes % tarBlockBytes)) % tarBlockBytes;
}

/** The two blocks of zeros that end an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * tarBlockBytes);
}

interface BlockFields { path: string; linkPath: string; mode: number; uid: number; gid: number; size: number; mtime: number; major: number; minor: number }

function formatBlock(flag: string, fields: BlockFields): Buffer {
  const block = Buffer.alloc(tarBlockBytes);
  const octal = (value: number, at: number, digits: number): void => void block.write(`${value.toString(8).padStart(digits, '0')}\0`, at, 'latin1');
  block.write(fields.path, 0);
  octal(fields.mode, 100, 7);
  octal(fields.uid, 108, 7);
  octal(fields.gid, 116, 7);
  octal(fields.size, 124, 11);
  octal(fields.mtime, 136, 11);
  block.write(flag, 156);
  block.write(fields.linkPath, 157);
  block.write('ustar\x0000', 257, 'latin1');
  octal(fields.major, 329, 7);
  octal(fields.minor, 337, 7);
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (let at = 0; at < tarBlockBytes; at += 1) sum += block[at] ?? 0;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** The length counts its own digits. */
function formatPaxRecord(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')]);
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

function fitsText(value: string): boolean {
  return value.length <= 100 && /^[\x20-\x7e]*$/.test(value);
}

function fitsOctal(value: number, digits: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 8 ** digits;
}

function formatTime(seconds: number): string {
  return Number.isInteger(seconds) ? String(seconds) : seconds.toFixed(9).replace(/0+$/, '');
}

function text(block: Buffer, start: number, length: number): string {
  const end = block.indexOf(0, start);
  return block.toString('utf8', start, end < 0 || end > start + length ? start + length : end);
}

/** Octal digits, or base 256 when the first bit is set (GNU). */
function parseNumber(block: Buffer, start: number, length: number, what: string): number {
  const first = block[start] ?? 0;
  if ((first & 0x80) !== 0) {
    let value = first & 0x40 ? BigInt(first) - 256n : BigInt(first & 0x7f);
    for (let at = start + 1; at < start + length; at += 1) value = value * 256n + BigInt(block[at] ?? 0);
    return safe(Number(value), what);
  }
  const digits = block.toString('latin1', start, start + length).replace(/^[ \0]+|[ \0].*$/gs, '');
  if (digits === '') return 0;
  if (!/^[0-7]+$/.test(digits)) throw malformed(`a header has a malformed ${what}`);
  return safe(Number.parseInt(digits, 8), what);
}

function paxText(value: Buffer): string {
  if (value.includes(0)) throw malformed('a name holds a zero byte');
  return value.toString('utf8');
}

function paxNumber(key: string, value: Buffer, pattern: RegExp): number {
  const digits = value.toString('latin1');
  if (!pattern.test(digits)) throw malformed(`an extended header has a malformed ${key}`);
  return safe(Number(digits), key);
}

function safe(value: number, what: string): number {
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) throw malformed(`a header has a ${what} out of range`);
  return value;
}

function malformed(problem: string): GantryError {
  return new GantryError('invalid', `malformed tar archive: ${problem}`);
}
