import { matchesAny } from '../globs.ts';
import type { RepositoryRules, RetentionRule } from '../ports.ts';
import type { RepositoryView } from './repositories.ts';

/** What a repository no longer needs, and why. */
export interface CollectionPlan {
  readonly tags: { readonly tag: string; readonly digest: string; readonly reason: string }[];
  readonly manifests: { readonly digest: string; readonly reason: string }[];
  readonly blobs: { readonly digest: string; readonly reason: string }[];
}

export interface PlanOptions {
  /** Digests that something outside refers to: running pods, kept releases. */
  readonly roots: ReadonlySet<string>;
  readonly nowMs: number;
  /** How long what no tag names stays after a client was last told of it. */
  readonly graceMs: number;
  /** When the oldest upload in progress began. Until it ends, no lease runs out that was held then or was taken since: its push is not over. */
  readonly pushingSinceMs?: number | undefined;
  /** Which tags may go at all. */
  readonly rules: RepositoryRules;
}

/**
 * Decides by live references. A manifest lives when a tag or a root names it, a living index lists it, it refers to a living subject, or
 * its lease has not run out; a blob when a living manifest names it or its lease has not run out.
 */
export function planCollection(view: RepositoryView, { roots, nowMs, graceMs, pushingSinceMs = nowMs, rules }: PlanOptions): CollectionPlan {
  const isLeased = (leasedAtMs: number): boolean => pushingSinceMs - leasedAtMs < graceMs;
  const removable = [...view.tags]
    .filter(([tag, { digest, setAtMs }]) => !roots.has(digest) && !isLeased(setAtMs) && !matchesAny(rules.immutableTags, tag))
    .map(([tag]) => tag);
  const expired = new Map(rules.retention.flatMap((rule) => [...expiredTags(view, rule, nowMs)]));
  const tags = removable.flatMap((tag) => {
    const reason = expired.get(tag);
    return reason === undefined ? [] : [{ tag, digest: view.tags.get(tag)?.digest ?? '', reason }];
  });
  const gone = new Set(tags.map(({ tag }) => tag));
  const tagged = new Set([...view.tags].filter(([tag]) => !gone.has(tag)).map(([, { digest }]) => digest));
  const living = new Set([...view.manifests].filter(([digest, { leasedAtMs }]) => tagged.has(digest) || roots.has(digest) || isLeased(leasedAtMs)).map(([digest]) => digest));
  spread(view, living);
  const named = new Set([...living].flatMap((digest) => view.manifests.get(digest)?.references ?? []));
  return {
    tags,
    manifests: [...view.manifests.keys()].filter((digest) => !living.has(digest)).map((digest) => ({ digest, reason: 'no tag, index, running pod or kept release names it' })),
    blobs: [...view.blobs].filter(([digest, { leasedAtMs }]) => !named.has(digest) && !living.has(digest) && !isLeased(leasedAtMs)).map(([digest]) => ({ digest, reason: 'no manifest of the repository names it' })),
  };
}

/** The tags that a rule no longer keeps, with the reason. */
function* expiredTags(view: RepositoryView, { keepTags, maxTagAgeMs, keep }: RetentionRule, nowMs: number): Iterable<[tag: string, reason: string]> {
  const newestFirst = [...view.tags].filter(([tag]) => !matchesAny(keep, tag)).toSorted(([, a], [, b]) => b.setAtMs - a.setAtMs);
  for (const [index, [tag, { setAtMs }]] of newestFirst.entries()) {
    if (keepTags !== undefined && index >= keepTags) yield [tag, `the repository has ${keepTags} newer tags`];
    else if (maxTagAgeMs !== undefined && nowMs - setAtMs > maxTagAgeMs) yield [tag, `it was set more than ${Math.round(maxTagAgeMs / 86_400_000)} days ago`];
  }
}

/** Adds what living manifests list, and what refers to them, until nothing new comes. */
function spread(view: RepositoryView, living: Set<string>): void {
  for (let before = -1; before !== living.size; ) {
    before = living.size;
    for (const [digest, { references, subject }] of view.manifests) {
      if (subject !== undefined && living.has(subject)) living.add(digest);
      if (living.has(digest)) for (const reference of references) if (view.manifests.has(reference)) living.add(reference);
    }
  }
}
