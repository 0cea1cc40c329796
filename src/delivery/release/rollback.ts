import { gantryApiVersion, type k8s, type Release, type Stored } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import { byNumber, liveRelease, numberOf, phaseOf, wasLive } from './phases.ts';

/**
 * The release that takes a repository back by hand: the manifests and digests of release `to` (default: the one that was live before
 * the current), nothing rebuilt. `not-found` or `precondition-failed` when there is nothing to go back to.
 */
export function planManualRollback(releases: readonly Stored<Release>[], to: number | undefined): Release {
  const ordered = byNumber(releases);
  const live = liveRelease(ordered);
  if (live === undefined) throw new GantryError('precondition-failed', 'no release is live, so there is nothing to take back');
  const target = to === undefined ? previousOf(ordered, live) : ordered.find((release) => numberOf(release) === to);
  if (target === undefined) throw new GantryError('not-found', to === undefined ? `there is no release before release ${numberOf(live)} that was live` : `there is no release ${to}`);
  if (target === live) throw new GantryError('precondition-failed', `release ${numberOf(live)} is live already`);
  if ((target.spec?.manifests.length ?? 0) === 0) throw new GantryError('precondition-failed', `release ${numberOf(target)} has no manifests: ${target.status?.message ?? 'it failed early'}`);
  return rollbackRelease(ordered, live, target);
}

/** A release like `target` that takes back `failed`, with the next number. */
export function rollbackRelease(releases: readonly Stored<Release>[], failed: Stored<Release>, target: Stored<Release>): Release {
  const { spec } = target;
  if (spec === undefined) throw new GantryError('internal', `release ${target.metadata.name} has no spec`);
  const number = nextNumber(releases);
  return {
    apiVersion: gantryApiVersion,
    kind: 'Release',
    metadata: releaseMetadata(spec.repository, number, failed.metadata),
    spec: { repository: spec.repository, commit: spec.commit, ref: spec.ref, number, ...(spec.run === undefined ? {} : { run: spec.run }), images: spec.images, manifests: spec.manifests, rollbackOf: failed.metadata.name },
  };
}

/** Names are unique by number, so that two controllers (or a crash) cannot make one number twice. */
export function releaseMetadata(repository: string, number: number, like: Pick<k8s.ObjectMeta, 'namespace' | 'ownerReferences'>): k8s.ObjectMeta {
  return {
    name: `${repository}-${number}`,
    namespace: like.namespace,
    labels: { 'gantry.dev/repository': repository },
    ...(like.ownerReferences === undefined ? {} : { ownerReferences: like.ownerReferences }),
  };
}

export function nextNumber(releases: readonly Stored<Release>[]): number {
  return Math.max(0, ...releases.map(numberOf)) + 1;
}

/** The newest older release that served and is not of the commit that serves now; what failed or was taken back does not count. */
function previousOf(ordered: readonly Stored<Release>[], live: Stored<Release>): Stored<Release> | undefined {
  return ordered.findLast((release) => numberOf(release) < numberOf(live) && phaseOf(release) === 'Superseded' && wasLive(release) && release.spec?.commit !== live.spec?.commit);
}
