import { type ErrorCode, GantryError } from '../../kernel/mod.ts';
import type { TarEntryType, TarHeader } from '../../wire/mod.ts';
import type { LayerLimits } from './types.ts';

/** What a member of a layer's tar means (OCI image spec, layer.md): content, or the removal of what lower layers have. */
export type LayerMember =
  | { kind: 'entry'; header: TarHeader }
  | { kind: 'whiteout'; path: string }
  | { kind: 'opaque'; path: string }
  /** Bookkeeping of AUFS (`.wh..wh.plnk` and the like), which no image tool unpacks. */
  | { kind: 'skip' };

const whiteoutPrefix = '.wh.';
const opaqueMarker = '.wh..wh..opq';
/** PATH_MAX without the zero at the end. */
const maxSymlinkBytes = 4095;

/**
 * Decides for each member of one layer, in order, whether it may be unpacked. Names become relative without `.` and `..`.
 * Refused: absolute names and `..`, names through symlinks, hard links out of the layer, devices, overlayfs attributes, bombs.
 */
export class LayerGuard {
  readonly #layer: string;
  readonly #limits: LayerLimits;
  readonly #hasWhiteouts: boolean;
  readonly #types = new Map<string, TarEntryType>();
  #entries = 0;
  #sizeBytes = 0;

  /** `hasWhiteouts: false` is for archives that are no layers: `.wh.` is a name like any other there. */
  constructor(layer: string, limits: LayerLimits, hasWhiteouts = true) {
    this.#layer = layer;
    this.#limits = limits;
    this.#hasWhiteouts = hasWhiteouts;
  }

  /** Bytes of all files so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  typeOf(path: string): TarEntryType | undefined {
    return this.#types.get(path);
  }

  /** `invalid`, `unsupported` or `exhausted`, with the layer and the member named. */
  admit(header: TarHeader): LayerMember {
    this.#entries += 1;
    this.#sizeBytes += header.type === 'file' ? header.sizeBytes : 0;
    if (this.#entries > this.#limits.maxEntries) this.#refuse('exhausted', header.path, `more than ${this.#limits.maxEntries} entries`);
    if (this.#sizeBytes > this.#limits.maxBytes) this.#refuse('exhausted', header.path, `more than ${this.#limits.maxBytes} bytes unpacked`);
    const path = this.#normalise(header.path, header.path);
    if (this.#hasWhiteouts && path.startsWith(`${whiteoutPrefix}${whiteoutPrefix}`) && path.includes('/')) return { kind: 'skip' };
    this.#checkParents(path, header.path);
    const slash = path.lastIndexOf('/');
    const name = path.slice(slash + 1);
    if (this.#hasWhiteouts && name.startsWith(whiteoutPrefix)) return this.#whiteout(path.slice(0, Math.max(slash, 0)), name, header.path);
    if (header.type === 'character-device' || header.type === 'block-device') this.#refuse('invalid', header.path, 'it is a device');
    for (const attribute of header.xattrs.keys()) {
      if (/^(trusted|user)\.overlay\./.test(attribute)) this.#refuse('invalid', header.path, `it sets the attribute ${attribute}`);
    }
    if (header.type === 'symlink') this.#checkSymlink(header);
    const linkPath = header.type === 'hardlink' ? this.#linkTarget(header) : header.linkPath;
    if (path === '' && header.type !== 'directory') this.#refuse('invalid', header.path, 'it replaces the root folder');
    this.#types.set(path, header.type);
    return { kind: 'entry', header: { ...header, path: path === '' ? '.' : path, linkPath } };
  }

  #whiteout(parent: string, name: string, original: string): LayerMember {
    if (name === opaqueMarker) return { kind: 'opaque', path: parent };
    if (name.startsWith(`${whiteoutPrefix}${whiteoutPrefix}`)) return { kind: 'skip' };
    const hidden = name.slice(whiteoutPrefix.length);
    if (hidden === '' || hidden === '.' || hidden === '..') this.#refuse('invalid', original, 'it is a whiteout of no name');
    return { kind: 'whiteout', path: parent === '' ? hidden : `${parent}/${hidden}` };
  }

  #linkTarget(header: TarHeader): string {
    const target = this.#normalise(header.linkPath, header.path);
    const type = this.#types.get(target);
    if (type === undefined) this.#refuse('invalid', header.path, `it is a hard link to ${JSON.stringify(target)}, which is not in the layer`);
    if (type === 'directory') this.#refuse('invalid', header.path, 'it is a hard link to a folder');
    return target;
  }

  /** Where a symlink leads is its own affair; that it can be made is not. */
  #checkSymlink({ path, linkPath }: TarHeader): void {
    if (linkPath === '') this.#refuse('invalid', path, 'it is a symlink to no name');
    if (Buffer.byteLength(linkPath) > maxSymlinkBytes) this.#refuse('exhausted', path, `its target is longer than ${maxSymlinkBytes} bytes`);
    if (linkPath.includes('\ufffd')) this.#refuse('unsupported', path, 'its target is not UTF-8');
  }

  #normalise(name: string, original: string): string {
    if (name.startsWith('/')) this.#refuse('invalid', original, `the name ${JSON.stringify(name.slice(0, 200))} is absolute`);
    if (Buffer.byteLength(name) > this.#limits.maxNameBytes) this.#refuse('exhausted', original, `the name is longer than ${this.#limits.maxNameBytes} bytes`);
    // What was not UTF-8 was replaced when the header was decoded: unpacking it would change the name.
    if (name.includes('\ufffd')) this.#refuse('unsupported', original, 'the name is not UTF-8');
    const parts = name.split('/').filter((part) => part !== '' && part !== '.');
    if (parts.includes('..')) this.#refuse('invalid', original, `the name ${JSON.stringify(name.slice(0, 200))} leaves the layer`);
    if (parts.some((part) => Buffer.byteLength(part) > 255)) this.#refuse('exhausted', original, 'a part of the name is longer than 255 bytes');
    return parts.join('/');
  }

  #checkParents(path: string, original: string): void {
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      const parent = path.slice(0, slash);
      if (this.#hasWhiteouts && parent.slice(parent.lastIndexOf('/') + 1).startsWith(whiteoutPrefix)) this.#refuse('invalid', original, 'it lies below a whiteout');
      const type = this.#types.get(parent);
      if (type !== undefined && type !== 'directory') this.#refuse('invalid', original, `it lies below ${JSON.stringify(parent)}, which is a ${type}`);
    }
  }

  #refuse(code: ErrorCode, entry: string, why: string): never {
    throw new GantryError(code, `${this.#layer}: entry ${JSON.stringify(entry.slice(0, 300))} is refused: ${why}`, { details: { layer: this.#layer, entry } });
  }
}
