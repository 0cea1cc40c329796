import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { readTar, type TarHeader } from '../../../src/wire/mod.ts';
import { comparable, ignored } from './differential-vectors.ts';

/** What builders must agree on of an image that `docker save` wrote. */
export interface SavedImage {
  /** Path → type, mode, owners, content, first name, attributes, and the time of what had one of its own. */
  readonly tree: Readonly<Record<string, string>>;
  /** What layers remove of those below, in order: names, and `/` after folders that hide what was in them. */
  readonly removed: readonly string[];
  readonly config: Readonly<Record<string, unknown>>;
  /** How many steps made a layer, by the history. */
  readonly layers: number;
}

/** Reads an archive of one image and lays its layers over each other, as an engine would. */
export async function readSavedImage(archive: Readable): Promise<SavedImage> {
  const members = new Map<string, Buffer>();
  const links: [string, string][] = [];
  for await (const { header, content } of readTar(archive as AsyncIterable<Uint8Array>)) {
    if (header.type === 'file') members.set(header.path, await buffer(Readable.from(content)));
    if (header.type === 'symlink') links.push([header.path, new URL(header.linkPath, `file:///${header.path}`).pathname.slice(1)]);
  }
  for (const [path, target] of links) members.set(path, member(members, target));
  const [listed] = JSON.parse(member(members, 'manifest.json').toString()) as { Config: string; Layers: string[] }[];
  if (listed === undefined) throw new Error('the archive has no image');
  const { config, history } = JSON.parse(member(members, listed.Config).toString()) as { config: object; history: { empty_layer?: boolean }[] };
  const tree = new Map<string, string>();
  const removed: string[] = [];
  for (const layer of listed.Layers) await applyLayer(tree, removed, member(members, layer));
  return { tree: Object.fromEntries([...tree].toSorted(([a], [b]) => (a < b ? -1 : 1))), removed, config: comparable(config), layers: history.filter(({ empty_layer: isEmpty }) => isEmpty !== true).length };
}

function member(members: ReadonlyMap<string, Buffer>, path: string): Buffer {
  const bytes = members.get(path);
  if (bytes === undefined) throw new Error(`the archive has no ${path}`);
  return bytes;
}

async function applyLayer(tree: Map<string, string>, removed: string[], layer: Buffer): Promise<void> {
  const own = new Map<string, string>();
  const gone: string[] = [];
  for await (const { header, content } of readTar(Readable.from([layer]) as AsyncIterable<Uint8Array>)) {
    const path = header.path.replace(/^\.?\/+/, '').replace(/\/$/, '');
    const bytes = header.type === 'file' ? await buffer(Readable.from(content)) : Buffer.alloc(0);
    const [parent, name] = [path.slice(0, Math.max(0, path.lastIndexOf('/'))), path.slice(path.lastIndexOf('/') + 1)];
    if (path === '' || ignored.test(path)) continue;
    if (name === '.wh..wh..opq') gone.push(`${parent}/`);
    else if (name.startsWith('.wh.')) gone.push([parent, name.slice(4)].filter((part) => part !== '').join('/'));
    else own.set(path, description(header, bytes));
  }
  for (const path of gone) for (const known of tree.keys()) if (known.startsWith(path.endsWith('/') ? path : `${path}/`) || known === path) tree.delete(known);
  removed.push(...gone.toSorted());
  for (const [path, text] of own) {
    // What takes the place of a folder hides all that was in it.
    if (!text.startsWith('directory')) for (const known of tree.keys()) if (known.startsWith(`${path}/`)) tree.delete(known);
    tree.set(path, text);
  }
}

const busybox = sha(readFileSync('/bin/busybox'));

function description({ type, mode, uid, gid, linkPath, mtimeSeconds, xattrs }: TarHeader, bytes: Buffer): string {
  const digest = type === 'file' ? sha(bytes) : '';
  const content = digest === busybox ? 'busybox' : digest;
  const time = type === 'file' && mtimeSeconds < 1_100_000_000 ? String(mtimeSeconds) : '';
  const attributes = [...xattrs].map(([name, value]) => `${name}=${value.toString('hex')}`).join(' ');
  return [type, type === 'symlink' ? '' : mode.toString(8), uid, gid, content, linkPath, time, attributes].join(' ').trim();
}

function sha(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 12);
}
