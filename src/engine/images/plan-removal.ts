import { type Digest, familiarImageReference, parseImageReference } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { FoundImage } from './find-image.ts';
import type { ImageEntry } from './image-names.ts';
import type { RemovedImage } from './types.ts';

/** What is left of an image's entry; undefined: the image goes. */
export interface RemovalPlan { readonly entry: ImageEntry | undefined; readonly removed: RemovedImage[] }

/**
 * `docker rmi`: a name takes that name away, and the image with its last one; an id takes all names of one repository.
 * `conflict` for an id named in several repositories, or in use, unless forced. A forced removal of an image in use leaves it without names.
 */
export function planRemoval(found: FoundImage, entry: ImageEntry, users: readonly string[], isForced: boolean): RemovalPlan {
  const names = new Set(found.name === undefined ? [...entry.references, ...entry.digests] : namesThatGo(found.name, entry));
  const repositories = new Set(entry.references.map(repositoryOf));
  if (found.name === undefined && repositories.size > 1 && !isForced) {
    throw conflict(found.id, 'must be forced: it is referenced in several repositories');
  }
  const references = entry.references.filter((name) => !names.has(name));
  const digests = entry.digests.filter((name) => !names.has(name));
  const isLast = references.length === 0 && digests.length === 0;
  if (isLast && users.length > 0 && !isForced) throw conflict(found.id, `must be forced: container ${users[0]?.slice(0, 12) ?? ''} uses it`);
  const untagged = [...entry.references, ...entry.digests].filter((name) => names.has(name)).map((name) => ({ untagged: familiarImageReference(parseImageReference(name)) }));
  if (!isLast || users.length > 0) return { entry: { ...entry, references, digests }, removed: untagged };
  return { entry: undefined, removed: [...untagged, { deleted: found.id }] };
}

/** With the last tag of a repository the digests it was pulled by go too. */
function namesThatGo(name: string, entry: ImageEntry): string[] {
  const repository = repositoryOf(name);
  const isLastTag = entry.references.includes(name) && entry.references.filter((other) => repositoryOf(other) === repository).length === 1;
  return isLastTag ? [name, ...entry.digests.filter((digest) => repositoryOf(digest) === repository)] : [name];
}

function repositoryOf(name: string): string {
  const { host, repository } = parseImageReference(name);
  return `${host}/${repository}`;
}

function conflict(id: Digest, why: string): GantryError {
  return new GantryError('conflict', `unable to delete ${id.slice('sha256:'.length, 'sha256:'.length + 12)} (${why})`);
}
