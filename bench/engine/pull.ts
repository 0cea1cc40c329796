import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { createGzip } from 'node:zlib';
import { type Descriptor, type Digest, mediaTypes, parseImageReference } from '../../src/api/mod.ts';
import { openRegistryClient } from '../../src/registry/mod.ts';
import { formatTarHeader, tarEnd, tarPadding } from '../../src/wire/mod.ts';
import { openDockerRegistry } from '../peers/registries.ts';
import { interleave, report, reportRate } from '../report.ts';
import { apiPeers, type EnginePeers } from './peers.ts';

/** Files and their sizes: a program's modules, libraries, one large file. 300 MB in all. */
const layers = [
  { files: 8000, bytes: 12_500 },
  { files: 40, bytes: 2_500_000 },
  { files: 3000, bytes: 13_000 },
  { files: 1, bytes: 60_000_000 },
] as const;
const imageBytes = layers.reduce((total, { files, bytes }) => total + files * bytes, 0);

/** Pull and unpack of a 300 MB image of four gzip layers from Debian's registry on loopback. The image is removed each time. */
export async function benchPull(peers: EnginePeers, signal: AbortSignal): Promise<void> {
  await using registry = await openDockerRegistry(signal);
  if (registry === undefined) return;
  const name = `${new URL(registry.url).host}/bench/big:1`;
  const compressedBytes = await pushImage(name, signal);
  const samples = await interleave({ times: 20, budgetMs: 300_000, after: (who) => peerOf(peers, who)?.docker(['rmi', '-f', name], signal) }, Object.fromEntries(apiPeers(peers).map((peer) => [peer.who, () => peer.docker(['pull', '-q', name], signal)])));
  report(`pull: ${(imageBytes / 1e6).toFixed(0)} MB image (${(compressedBytes / 1e6).toFixed(0)} MB compressed, four layers, ${layers.reduce((total, { files }) => total + files, 0)} files), pulled and unpacked`, samples);
  reportRate('pull: unpacked bytes', imageBytes, samples);
}

function peerOf(peers: EnginePeers, who: string) {
  return apiPeers(peers).find((peer) => peer.who === who);
}

async function pushImage(name: string, signal: AbortSignal): Promise<number> {
  await using client = openRegistryClient();
  const reference = parseImageReference(name);
  const pushed: { blob: Descriptor; diffId: Digest }[] = [];
  for (const [index, layer] of layers.entries()) {
    const hash = createHash('sha256');
    const plain = async function* (): AsyncGenerator<Buffer> {
      for (const part of layerTar(index, layer)) {
        hash.update(part);
        yield part;
      }
    };
    const bytes = await buffer(Readable.from(plain(), { objectMode: false }).pipe(createGzip({ level: 6 })));
    pushed.push({ blob: descriptorOf(mediaTypes.ociLayerGzip, bytes), diffId: `sha256:${hash.digest('hex')}` as Digest });
    await client.pushBlob(reference, pushed.at(-1)?.blob as Descriptor, () => Readable.from([bytes]), undefined, signal);
  }
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const config = Buffer.from(JSON.stringify({ architecture, os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: pushed.map(({ diffId }) => diffId) } }));
  await client.pushBlob(reference, descriptorOf(mediaTypes.ociConfig, config), () => Readable.from([config]), undefined, signal);
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: descriptorOf(mediaTypes.ociConfig, config), layers: pushed.map(({ blob }) => blob) };
  await client.pushManifest(reference, mediaTypes.ociManifest, Buffer.from(JSON.stringify(manifest)), undefined, signal);
  return pushed.reduce((total, { blob }) => total + blob.size, 0);
}

function* layerTar(index: number, { files, bytes }: { files: number; bytes: number }): Generator<Buffer> {
  const header = { linkPath: '', uid: 0, gid: 0, mtimeSeconds: 1_700_000_000, deviceMajor: 0, deviceMinor: 0, xattrs: new Map<string, Buffer>() };
  const folders = Math.ceil(files / 50);
  yield formatTarHeader({ ...header, type: 'directory', path: `layer${index}`, mode: 0o755, sizeBytes: 0 });
  for (let folder = 0; folder < folders; folder += 1) yield formatTarHeader({ ...header, type: 'directory', path: `layer${index}/d${folder}`, mode: 0o755, sizeBytes: 0 });
  const random = generator(index + 1);
  for (let file = 0; file < files; file += 1) {
    yield formatTarHeader({ ...header, type: 'file', path: `layer${index}/d${file % folders}/f${file}.js`, mode: 0o644, sizeBytes: bytes });
    yield textLike(bytes, random);
    yield Buffer.alloc(tarPadding(bytes));
  }
  yield tarEnd();
}

const words = ['const', 'return', 'function', 'export', 'import', 'await', 'value', 'index', 'length', 'object', 'string', 'number', '=>', '{', '}', '(', ')', ';\n', '  '];

/** Bytes that compress about three to one, as programs do: words, and a third of chance. */
function textLike(bytes: number, random: () => number): Buffer {
  const block = Buffer.alloc(Math.min(bytes, 65_536));
  for (let at = 0; at < block.length;) {
    const pick = random();
    at += block.write(pick % 3 === 0 ? pick.toString(36) : `${words[pick % words.length] ?? ''} `, at, 'latin1');
  }
  const whole = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += block.length) {
    block.copy(whole, at, 0, Math.min(block.length, bytes - at));
    // Blocks differ in places, so that compression has work to do.
    for (let change = 0; change < 2000 && at + block.length <= bytes; change += 1) whole[at + (random() % block.length)] = 97 + (random() % 26);
  }
  return whole;
}

function generator(seed: number): () => number {
  let state = seed * 2_654_435_761;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return (state ^ (state >>> 12)) >>> 0;
  };
}

function descriptorOf(mediaType: string, bytes: Uint8Array): Descriptor {
  return { mediaType, digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest, size: bytes.length };
}
