import type { StoreEntry } from '../../../store/mod.ts';
import type { ApiObject } from '../kinds/kind.ts';

const metadataStart = '"metadata":{';

/** The text an object is stored as: kind and apiVersion first, no resourceVersion, since only the commit knows it. */
export function toStoredText(object: ApiObject): string {
  const { kind, apiVersion, metadata, ...rest } = object;
  const { resourceVersion: _, ...meta } = metadata;
  return JSON.stringify({ kind, apiVersion, metadata: meta, ...rest });
}

/** The stored text with its resourceVersion put in. */
function toServedText(storedText: string, revision: number): string {
  // The first occurrence is the object's own: only kind and apiVersion stand before it.
  const at = storedText.indexOf(metadataStart) + metadataStart.length;
  return `${storedText.slice(0, at)}"resourceVersion":"${revision}",${storedText.slice(at)}`;
}

/** One version of one object, shared by all readers: as JSON text for answers, and parsed when someone looks inside. Never change it. */
export class StoredObject {
  readonly key: string;
  readonly revision: number;
  readonly createRevision: number;
  /** As served, in the storage version. */
  readonly text: string;
  #object: ApiObject | undefined;

  constructor(entry: StoreEntry, shownRevision = entry.modRevision, object?: ApiObject) {
    this.key = entry.key;
    this.revision = shownRevision;
    this.createRevision = entry.createRevision;
    this.text = toServedText(entry.value, shownRevision);
    if (object !== undefined) object.metadata.resourceVersion = String(shownRevision);
    this.#object = object;
  }

  get object(): ApiObject {
    return (this.#object ??= JSON.parse(this.text) as ApiObject);
  }

  /** The same state with another resourceVersion: what a watcher whose selector no longer matches is told. */
  shownAt(revision: number): StoredObject {
    const { kind, apiVersion, metadata, ...rest } = this.object;
    const value = toStoredText({ kind, apiVersion, metadata, ...rest });
    return new StoredObject({ key: this.key, value, createRevision: this.createRevision, modRevision: this.revision }, revision);
  }

  /** A copy that may be changed. */
  copy(): ApiObject {
    return JSON.parse(this.text) as ApiObject;
  }
}
