import { familiarImageReference, parseImageReference } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { FoundImage } from './find-image.ts';
import type { ImageEntry } from './image-names.ts';
import type { ImageUser, RemovedImage } from './types.ts';

/** What is left of an image's entry; undefined: the image goes. */
export interface RemovalPlan { readonly entry: ImageEntry | undefined; readonly removed: RemovedImage[] }

/**
 * `docker rmi`: a name takes that name away, and the image with its last one; an id takes all names of one repository.
 * `conflict` for an id named in several repositories, or in use, unless forced; for an id that a running container uses also then. A forced
 * removal of an image in use leaves it without names.
 */
export function planRemoval(found: FoundImage, entry: ImageEntry, users: readonly ImageUser[], isForced: boolean): RemovalPlan {
  const names = new Set(found.name === undefined ? [...entry.references, ...entry.digests] : namesThatGo(found.name, entry));
  const repositories = new Set(entry.references.map(repositoryOf));
  const running = users.find(({ isRunning }) => isRunning);
  if (found.name === undefined) {
    if (running !== undefined) throw conflict(`unable to delete ${shortened(found.id)} (cannot be forced) - image is being used by running container ${shortened(running.containerId)}`);
    if (repositories.size > 1 && !isForced) throw conflict(`unable to delete ${shortened(found.id)} (must be forced) - image is referenced in multiple repositories`);
  }
  const references = entry.references.filter((name) => !names.has(name));
  const digests = entry.digests.filter((name) => !names.has(name));
  const isLast = references.length === 0 && digests.length === 0;
  const [user] = users;
  if (isLast && user !== undefined && !isForced) {
    if (found.name === undefined) throw conflict(`unable to delete ${shortened(found.id)} (must be forced) - image is being used by stopped container ${shortened(user.containerId)}`);
    const name = familiarImageReference(parseImageReference(found.name));
    throw conflict(`unable to remove repository reference ${JSON.stringify(name)} (must force) - container ${shortened(user.containerId)} is using its referenced image ${shortened(found.id)}`);
  }
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

function shortened(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12);
}

function conflict(why: string): GantryError {
  return new GantryError('conflict', `conflict: ${why}`);
}
