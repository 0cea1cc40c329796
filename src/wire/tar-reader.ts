import { GantryError } from '../kernel/mod.ts';
import { applyPaxRecords, isMemberFlag, parsePaxRecords, parseTarBlock, tarBlockBytes, type TarHeader, tarPadding } from './tar-header.ts';

/** A member and its content, which must be read or is skipped when the next member is asked for. */
export interface TarEntry { readonly header: TarHeader; readonly content: AsyncIterable<Buffer> }

/** Of one extended header or long name: they are held in memory. */
const maxRecordBytes = 1 << 20;

/**
 * Reads an archive as it streams in, with constant memory. Reads the source to its end; a chunk is done with
 * when the next one is asked for, as is a member's content. `invalid` for a malformed or cut-off archive,
 * `unsupported` for sparse files and for kinds of members that no file system has.
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  await using reader = new ByteReader(source);
  for (;;) {
    const header = await readHeader(reader);
    if (header === undefined) break;
    const sizeBytes = header.type === 'file' ? header.sizeBytes : 0;
    const content = new TarContent(reader, sizeBytes);
    yield { header, content };
    await content.skip();
    await reader.skipPadding(tarPadding(sizeBytes));
  }
  await reader.drain();
}

/** The next member's header with everything applied that precedes it; undefined at the end of the archive. */
async function readHeader(reader: ByteReader): Promise<TarHeader | undefined> {
  let records = new Map<string, Buffer>();
  for (;;) {
    const bytes = await reader.take(tarBlockBytes, records.size === 0);
    const block = bytes === undefined ? undefined : parseTarBlock(bytes);
    if (block === undefined) return undefined;
    const { flag, header } = block;
    if (isMemberFlag(flag)) return applyPaxRecords(header, records);
    if (flag === 'S') throw new GantryError('unsupported', `${header.path}: sparse files are not supported in archives`);
    if (!['x', 'g', 'L', 'K'].includes(flag)) throw new GantryError('unsupported', `${header.path}: tar members of type ${JSON.stringify(flag)} are not supported`);
    if (header.sizeBytes > maxRecordBytes) throw new GantryError('exhausted', 'malformed tar archive: an extended header is larger than 1 MiB');
    const body = (await reader.take(header.sizeBytes, false)) ?? Buffer.alloc(0);
    await reader.skip(tarPadding(header.sizeBytes));
    if (flag === 'x') records = new Map([...records, ...parsePaxRecords(body)]);
    // Global headers hold comments in practice; values for all members are ignored by every image tool.
    if (flag === 'L') records.set('path', untilZero(body));
    if (flag === 'K') records.set('linkpath', untilZero(body));
  }
}

function untilZero(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

class TarContent implements AsyncIterable<Buffer> {
  readonly #reader: ByteReader;
  #left: number;

  constructor(reader: ByteReader, sizeBytes: number) {
    this.#reader = reader;
    this.#left = sizeBytes;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Buffer> {
    while (this.#left > 0) {
      const chunk = await this.#reader.next(this.#left);
      this.#left -= chunk.length;
      yield chunk;
    }
  }

  async skip(): Promise<void> {
    const left = this.#left;
    this.#left = 0;
    await this.#reader.skip(left);
  }
}

/** Exact numbers of bytes out of chunks of any size. */
class ByteReader implements AsyncDisposable {
  readonly #source: AsyncIterator<Uint8Array>;
  #chunk: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Up to `maxBytes`, at least one. `invalid` at the end. */
  async next(maxBytes: number): Promise<Buffer> {
    if (this.#chunk.length === 0 && !(await this.#fill())) throw new GantryError('invalid', 'malformed tar archive: it ends within a member');
    const part = this.#chunk.subarray(0, maxBytes);
    this.#chunk = this.#chunk.subarray(part.length);
    return part;
  }

  /** Exactly `count` bytes. At the end of the source: undefined if `canEnd` and nothing was read, else `invalid`. */
  async take(count: number, canEnd: boolean): Promise<Buffer | undefined> {
    if (canEnd && this.#chunk.length === 0 && !(await this.#fill())) return undefined;
    if (this.#chunk.length >= count) {
      const part = this.#chunk.subarray(0, count);
      this.#chunk = this.#chunk.subarray(count);
      return part;
    }
    const whole = Buffer.allocUnsafe(count);
    // Copied at once: a source may use its memory again for the next chunk.
    for (let at = 0; at < count; ) at += (await this.next(count - at)).copy(whole, at);
    return whole;
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0; ) left -= (await this.next(left)).length;
  }

  /** Some writers (the docker client's build contexts with a Dockerfile from standard input) leave out what follows the last byte of content. */
  async skipPadding(count: number): Promise<void> {
    for (let left = count; left > 0 && (this.#chunk.length > 0 || (await this.#fill())); ) left -= (await this.next(left)).length;
  }

  async drain(): Promise<void> {
    this.#chunk = Buffer.alloc(0);
    while (await this.#fill()) this.#chunk = Buffer.alloc(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#source.return?.();
  }

  /** False at the end of the source. */
  async #fill(): Promise<boolean> {
    while (this.#chunk.length === 0) {
      const { value, done } = await this.#source.next();
      if (done === true) return false;
      this.#chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    }
    return true;
  }
}
