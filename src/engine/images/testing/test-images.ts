import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Digest, ImageConfig } from '../../../api/mod.ts';
import { GantryError, silentLogger } from '../../../kernel/mod.ts';
import { formatTarHeader, tarEnd, type TarHeader, tarPadding } from '../../../wire/mod.ts';
import type { RegistryClient } from '../../ports.ts';
import { openImageStore } from '../local-image-store.ts';
import { hostPlatform } from '../platform.ts';
import type { ImageStore, LayerLimits } from '../types.ts';

/** A member of a tar for tests; `content` makes it a file. */
export type TestMember = Partial<TarHeader> & { path: string; content?: string | Buffer };

/** A plain tar of the members, as they are: nothing is checked. */
export function testTar(members: readonly TestMember[]): Buffer {
  const parts = members.flatMap(({ content, ...rest }) => {
    const bytes = Buffer.from(content ?? '');
    const isFolder = rest.path.endsWith('/');
    const header: TarHeader = {
      type: isFolder ? 'directory' : 'file', linkPath: '', mode: isFolder ? 0o755 : 0o644, uid: 0, gid: 0, mtimeSeconds: 1_700_000_000,
      deviceMajor: 0, deviceMinor: 0, xattrs: new Map(), sizeBytes: bytes.length, ...rest,
    };
    return [formatTarHeader(header), bytes, Buffer.alloc(tarPadding(bytes.length))];
  });
  return Buffer.concat([...parts, tarEnd()]);
}

export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

/** A configuration of the layers for this machine. */
export function testConfig(layers: readonly Digest[], config: ImageConfig['config'] = {}): ImageConfig {
  return { ...hostPlatform(), created: '2024-01-01T00:00:00Z', config, rootfs: { type: 'layers', diff_ids: [...layers] }, history: layers.map(() => ({ created_by: 'test' })) };
}

/** An image of one layer per list of members. */
export async function createTestImage(images: ImageStore, reference: string, layers: readonly (readonly TestMember[])[], config: ImageConfig['config'] = {}): Promise<Digest> {
  const { signal } = new AbortController();
  const diffIds: Digest[] = [];
  for (const members of layers) diffIds.push((await images.importLayer(Readable.from([testTar(members)]), signal)).diffId);
  return images.createImage(testConfig(diffIds, config), [reference], signal);
}

export interface TestImageStore extends AsyncDisposable {
  readonly images: ImageStore;
  readonly folder: string;
  /** Opens the folder again, as after a restart. */
  reopen(): Promise<ImageStore>;
}

/** An image store in a temporary folder. Unpacking needs root. */
export async function openTestImageStore(options: { registry?: RegistryClient; limits?: LayerLimits } = {}): Promise<TestImageStore> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-images-'));
  const open = (): Promise<ImageStore> => openImageStore({ folder, registry: options.registry ?? unreachableRegistry, log: silentLogger(), ...(options.limits === undefined ? {} : { limits: options.limits }) });
  const opened = [await open()];
  return {
    images: opened[0] as ImageStore,
    folder,
    reopen: async () => {
      await opened.at(-1)?.[Symbol.asyncDispose]();
      opened.push(await open());
      return opened.at(-1) as ImageStore;
    },
    [Symbol.asyncDispose]: async () => {
      await opened.at(-1)?.[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const nobody = (): Promise<never> => Promise.reject(new GantryError('unavailable', 'this test has no registry'));

/** For stores that neither pull nor push. */
export const unreachableRegistry: RegistryClient = { fetchManifest: nobody, fetchBlob: nobody, hasBlob: nobody, pushBlob: nobody, pushManifest: nobody };
