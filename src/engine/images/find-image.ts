import { type Digest, formatImageReference, parseImageReference } from '../../api/mod.ts';
import { GantryError, isError } from '../../kernel/mod.ts';
import type { ImageEntries } from './image-names.ts';

/** How a name led to an image: by a reference (`name` is the full one that matched), or by an id. */
export interface FoundImage { readonly id: Digest; readonly name: string | undefined }

/** Resolves a reference, then an id or id prefix, as Docker does. Undefined when nothing matches; `invalid` when a prefix fits several. */
export function findImage(entries: ImageEntries, name: string): FoundImage | undefined {
  return byReference(entries, name) ?? byId(entries, name);
}

function byReference(entries: ImageEntries, name: string): FoundImage | undefined {
  const reference = parsed(name);
  if (reference === undefined) return undefined;
  const { tag: _, ...withoutTag } = reference;
  const full = formatImageReference(reference.digest === undefined ? reference : withoutTag);
  for (const [id, { references, digests }] of entries) {
    if ((reference.digest === undefined ? references : digests).includes(full)) return { id, name: full };
  }
  return undefined;
}

function byId(entries: ImageEntries, name: string): FoundImage | undefined {
  const hex = name.startsWith('sha256:') ? name.slice('sha256:'.length) : name;
  if (!/^[0-9a-f]{4,64}$/.test(hex)) return undefined;
  const ids = [...entries.keys()].filter((id) => id.startsWith(`sha256:${hex}`));
  if (ids.length > 1) throw new GantryError('invalid', `the image id ${hex} is ambiguous`);
  const [id] = ids;
  return id === undefined ? undefined : { id, name: undefined };
}

function parsed(name: string): ReturnType<typeof parseImageReference> | undefined {
  try {
    return parseImageReference(name);
  } catch (error) {
    if (isError(error, 'invalid')) return undefined;
    throw error;
  }
}
