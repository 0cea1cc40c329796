import { Readable, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip, createZstdDecompress } from 'node:zlib';
import { mediaTypes } from '../../api/mod.ts';
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

function sniffCompression(start: Uint8Array): Decompressor {
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
export async function* gzipped(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* through(source, createGzip({ level: 1, chunkSize }), (error) => new GantryError('internal', 'cannot compress', { cause: error }));
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
