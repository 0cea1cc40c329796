import { Readable, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { constants, createGunzip, createZstdCompress, createZstdDecompress, gzip } from 'node:zlib';
import { type ImageFormat, mediaTypes } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';

export type Decompressor = 'none' | 'gzip' | 'zstd';

const chunkSize = 256 * 1024;

const layerTypes: readonly string[] = [
  ...[mediaTypes.ociLayer, mediaTypes.ociLayerGzip, mediaTypes.ociLayerZstd],
  ...[mediaTypes.dockerLayer, mediaTypes.dockerLayerGzip, mediaTypes.dockerLayerZstd],
];

/** Throws `unsupported` for what is no layer we can unpack. How it is compressed its first bytes tell: registries hold wrong types. */
export function checkLayerType(mediaType: string, what: string): void {
  if (layerTypes.includes(mediaType)) return;
  const isForeign = /\.foreign\.|\.nondistributable\./.test(mediaType);
  throw new GantryError('unsupported', `${what}: ${isForeign ? 'foreign layers, which are kept outside the registry,' : 'layers of this type'} are not supported (${mediaType})`);
}

/** The whole stream and how it is compressed, by its first bytes: for archives of which nobody says. */
export async function sniffed(source: AsyncIterable<Uint8Array>): Promise<[AsyncIterable<Uint8Array>, Decompressor]> {
  const iterator = source[Symbol.asyncIterator]();
  const first = await iterator.next();
  const whole = async function* (): AsyncGenerator<Uint8Array> {
    if (first.done !== true) yield first.value;
    yield* { [Symbol.asyncIterator]: () => iterator };
  };
  return [whole(), sniffCompression(first.done === true ? new Uint8Array() : first.value)];
}

/** How data that begins so is compressed. */
export function sniffCompression(start: Uint8Array): Decompressor {
  if (start[0] === 0x1f && start[1] === 0x8b) return 'gzip';
  if (start[0] === 0x28 && start[1] === 0xb5 && start[2] === 0x2f && start[3] === 0xfd) return 'zstd';
  return 'none';
}

/** The plain bytes of a compressed stream; damaged data is `invalid`. */
export async function* decompressed(source: AsyncIterable<Uint8Array>, decompressor: Decompressor): AsyncGenerator<Uint8Array> {
  if (decompressor === 'none') return yield* source;
  const plain = decompressor === 'gzip' ? createGunzip({ chunkSize }) : createZstdDecompress({ chunkSize });
  yield* through(source, plain, (error) => new GantryError('invalid', 'the data is not properly compressed', { cause: error }));
}

/** Level 1 takes half the time of the default for a tenth more bytes: pushes mostly stay on the machine. */
const defaultLevels = { gzip: 1, zstd: 3 } as const;

/** The bytes in the form, which depend only on them and the level. */
export function compressed(source: AsyncIterable<Uint8Array>, { compression, level }: Pick<ImageFormat, 'compression' | 'level'>): AsyncIterable<Uint8Array> {
  if (compression === 'uncompressed') return source;
  if (compression === 'gzip') return gzipped(source, level ?? defaultLevels.gzip);
  const params = { [constants.ZSTD_c_compressionLevel]: level ?? defaultLevels.zstd };
  return through(source, createZstdCompress({ params, chunkSize }), (error) => new GantryError('internal', 'cannot compress', { cause: error }));
}

/** Of plain bytes; what is compressed at the same time is this many members of a file. */
const [memberBytes, parallelMembers] = [2 << 20, 3];
const gzipMember = promisify(gzip);

/** A gzip file of several members (RFC 1952, 2.2), each compressed by itself, so that several processors work on it. */
async function* gzipped(source: AsyncIterable<Uint8Array>, level: number): AsyncGenerator<Uint8Array> {
  const running: Promise<Buffer>[] = [];
  try {
    for await (const member of inMembers(source)) {
      if (running.length === parallelMembers) yield await nextOf(running);
      running.push(gzipMember(member, { level }));
    }
    while (running.length > 0) yield await nextOf(running);
  } finally {
    await Promise.allSettled(running);
  }
}

async function nextOf(running: Promise<Buffer>[]): Promise<Buffer> {
  try {
    return (await running.shift()) ?? Buffer.alloc(0);
  } catch (error) {
    throw new GantryError('internal', 'cannot compress', { cause: error });
  }
}

/** Pieces of equal length but for the last; at least one. */
async function* inMembers(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let member = Buffer.allocUnsafeSlow(memberBytes);
  let filled = 0;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + memberBytes - filled);
      member.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < memberBytes) continue;
      yield member;
      member = Buffer.allocUnsafeSlow(memberBytes);
      filled = 0;
    }
  }
  yield member.subarray(0, filled);
}

/** The source's own error is passed on as it is; one of the transform through `explain`. */
async function* through(source: AsyncIterable<Uint8Array>, transform: Transform, explain: (error: unknown) => GantryError): AsyncGenerator<Uint8Array> {
  let sourceError: { error: unknown } | undefined;
  const watched = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* source;
    } catch (error) {
      sourceError = { error };
      throw error;
    }
  };
  const input = Readable.from(watched(), { objectMode: false });
  const fed = pipeline(input, transform).catch(() => undefined);
  try {
    yield* transform as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw sourceError === undefined ? explain(error) : sourceError.error;
  } finally {
    transform.destroy();
    input.destroy();
    await fed;
  }
}
