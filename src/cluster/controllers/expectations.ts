import { type KubeObject, keyOf } from '../../api/mod.ts';
import type { Change } from '../../client/mod.ts';
import type { Clock } from '../../kernel/mod.ts';

/** After this time a write whose echo never came is forgotten: it was made and undone while the watch was away. */
const echoTimeoutMs = 30_000;

/**
 * Own writes that the cache has not seen yet, so that a stale cache never makes a controller create or delete twice.
 * Names are chosen before the request, because its echo through the watch may come before its answer.
 */
export class Expectations {
  readonly #clock: Clock;
  /** Owner uid → object key → when it was expected. */
  readonly #creations = new Map<string, Map<string, number>>();
  /** uid of objects whose deletion was asked for → when. */
  readonly #deletions = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Hand this to the informer of the objects, before any controller watches it. */
  readonly observe = (change: Change<KubeObject>): void => {
    const { metadata } = change.object;
    if (change.type === 'deleted' || metadata.deletionTimestamp !== undefined) this.#deletions.delete(metadata.uid);
    const key = keyOf(change.object);
    for (const owner of metadata.ownerReferences ?? []) this.createdOrFailed(owner.uid, key);
  };

  expectCreation(ownerUid: string, key: string): void {
    const expected = this.#creations.get(ownerUid) ?? new Map<string, number>();
    this.#creations.set(ownerUid, expected.set(key, this.#clock.now()));
  }

  createdOrFailed(ownerUid: string, key: string): void {
    const expected = this.#creations.get(ownerUid);
    expected?.delete(key);
    if (expected?.size === 0) this.#creations.delete(ownerUid);
  }

  /** How many objects of the owner were created that the cache does not have yet. */
  pendingCreations(ownerUid: string): number {
    const expected = this.#creations.get(ownerUid);
    for (const [key, sinceMs] of expected ?? []) if (this.#isOver(sinceMs)) this.createdOrFailed(ownerUid, key);
    return expected?.size ?? 0;
  }

  expectDeletion(uid: string): void {
    this.#deletions.set(uid, this.#clock.now());
  }

  deletionFailed(uid: string): void {
    this.#deletions.delete(uid);
  }

  /** Whether the object's deletion was asked for and the cache does not show it yet. */
  isDeletionPending(uid: string): boolean {
    const sinceMs = this.#deletions.get(uid);
    if (sinceMs === undefined) return false;
    if (this.#isOver(sinceMs)) this.#deletions.delete(uid);
    return !this.#isOver(sinceMs);
  }

  #isOver(sinceMs: number): boolean {
    return this.#clock.now() - sinceMs > echoTimeoutMs;
  }
}
