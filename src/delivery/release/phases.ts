import type { Release, ReleasePhase, Stored } from '../../api/mod.ts';

/** Whether a release may move by itself into another phase, but for Live, which a later release ends. */
export const isActive = {
  Pending: true,
  Deploying: true,
  Live: false,
  Superseded: false,
  RolledBack: false,
  Failed: false,
} as const satisfies Record<ReleasePhase, boolean>;

export function phaseOf(release: Stored<Release>): ReleasePhase {
  return release.status?.phase ?? 'Pending';
}

export function numberOf(release: Stored<Release>): number {
  return release.spec?.number ?? 0;
}

/** Of one repository, the oldest first. */
export function byNumber(releases: readonly Stored<Release>[]): Stored<Release>[] {
  return releases.toSorted((a, b) => numberOf(a) - numberOf(b));
}

/** The release that serves: the newest that is Live. */
export function liveRelease(releases: readonly Stored<Release>[]): Stored<Release> | undefined {
  return byNumber(releases).findLast((release) => phaseOf(release) === 'Live');
}

/** Conditions of a Release. Applied: its manifests are in the API. Live: it has served, whatever came later. */
export const appliedCondition = 'Applied';
export const liveCondition = 'Live';

export function hasCondition(release: Stored<Release>, condition: string): boolean {
  return release.status?.conditions?.some(({ type, status }) => type === condition && status === 'True') === true;
}

export function wasLive(release: Stored<Release>): boolean {
  return hasCondition(release, liveCondition);
}

/** For people: `release 3`. */
export function titleOf(release: Stored<Release>): string {
  return `release ${numberOf(release)}`;
}
