import type { Release, Repository, Stored, WorkflowRun } from '../../api/mod.ts';
import type { Plan } from '../../client/mod.ts';
import type { Health } from '../health/assess.ts';
import { appliedCondition, byNumber, hasCondition, isActive, liveRelease, phaseOf, titleOf } from './phases.ts';

/** All that decides what happens next with one repository. */
export interface DeliveryView {
  readonly repository: Stored<Repository>;
  /** All runs of the default branch's commit on that branch, also those that were repeated since. */
  readonly runs: readonly Stored<WorkflowRun>[];
  /** All releases of the repository. */
  readonly releases: readonly Stored<Release>[];
  /** Of the newest active release, once it is applied. */
  readonly health: Health | undefined;
  /** The default branch's commit was looked at and has nothing to deliver. */
  readonly hasNothingToDeliver: boolean;
}

export type DeliveryAction =
  /** Make a release of the commit. */
  | { type: 'create'; commit: string }
  /** Apply the release's manifests. */
  | { type: 'deploy'; release: Stored<Release> }
  | { type: 'report-progress'; release: Stored<Release>; message: string }
  /** All of it is available. */
  | { type: 'go-live'; release: Stored<Release>; takesBack: string | undefined }
  | { type: 'retire'; release: Stored<Release>; phase: 'Superseded' | 'RolledBack'; message: string }
  | { type: 'fail'; release: Stored<Release>; health: Extract<Health, { state: 'failed' }>; hasOlderVersion: boolean }
  /** Make the release that re-applies `target` because `failed` failed. */
  | { type: 'roll-back'; failed: Stored<Release>; target: Stored<Release> }
  /** Record against the commit why it was taken back. */
  | { type: 'mark-bad'; release: Stored<Release>; reason: string }
  /** Delete a release that is too old to go back to. */
  | { type: 'forget'; release: Stored<Release> };

/** Releases of a repository that are kept, the newest of them, besides the live one. */
const historyLimit = 20;
/** Pods can fail without their Deployment changing, so a rollout is also looked at from time to time. */
const watchMs = 1000;

/**
 * What to do next for one repository. Level-triggered: it looks only at what is recorded, so it goes on after a crash at any point.
 * A newer release always supersedes an older one that is still on its way.
 */
export function planDelivery(view: DeliveryView): Plan<DeliveryAction, never> {
  const releases = byNumber(view.releases);
  const active = releases.filter((release) => isActive[phaseOf(release)]);
  const current = active.at(-1);
  const actions: DeliveryAction[] = [...active.slice(0, -1).map((release): DeliveryAction => ({ type: 'retire', release, phase: 'Superseded', message: `superseded by ${current === undefined ? '' : titleOf(current)} before it was live` })), ...retireOldLive(releases)];
  actions.push(...planRecords(view, releases));
  if (current !== undefined) actions.push(...planCurrent(current, view));
  else actions.push(...planRollback(releases));
  const commit = commitToRelease(view);
  if (commit !== undefined) actions.push({ type: 'create', commit });
  actions.push(...releases.slice(0, -historyLimit).filter((release) => phaseOf(release) !== 'Live' && release !== current).map((release): DeliveryAction => ({ type: 'forget', release })));
  return { actions, ...(current !== undefined && view.health?.state === 'progressing' ? { requeueAfterMs: watchMs } : {}) };
}

function planCurrent(release: Stored<Release>, { health, releases }: DeliveryView): DeliveryAction[] {
  if (phaseOf(release) === 'Pending' || !hasCondition(release, appliedCondition) || health === undefined) return [{ type: 'deploy', release }];
  if (health.state === 'healthy') return [{ type: 'go-live', release, takesBack: release.spec?.rollbackOf }];
  if (health.state === 'failed') return [{ type: 'fail', release, health, hasOlderVersion: rollbackTarget(releases, release) !== undefined }];
  return health.message === release.status?.message ? [] : [{ type: 'report-progress', release, message: health.message }];
}

/** Only the newest live release serves; the others were replaced by it or taken back by it. */
function retireOldLive(releases: readonly Stored<Release>[]): DeliveryAction[] {
  const live = liveRelease(releases);
  if (live === undefined) return [];
  return releases
    .filter((release) => phaseOf(release) === 'Live' && release !== live)
    .map((release) =>
      live.spec?.rollbackOf === release.metadata.name
        ? { type: 'retire', release, phase: 'RolledBack', message: `taken back by ${titleOf(live)}` }
        : { type: 'retire', release, phase: 'Superseded', message: `replaced by ${titleOf(live)}` },
    );
}

/** A failed release that has something to go back to is phase RolledBack; the release that goes back is made if it is not there yet. */
function planRollback(releases: readonly Stored<Release>[]): DeliveryAction[] {
  const failed = releases.at(-1);
  if (failed === undefined || phaseOf(failed) !== 'RolledBack' || releases.some(({ spec }) => spec?.rollbackOf === failed.metadata.name)) return [];
  const target = rollbackTarget(releases, failed);
  return target === undefined ? [] : [{ type: 'roll-back', failed, target }];
}

/** What an automatic rollback goes back to. A rollback that fails itself is not rolled back: it would go round in circles. */
function rollbackTarget(releases: readonly Stored<Release>[], failed: Stored<Release>): Stored<Release> | undefined {
  return failed.spec?.rollbackOf === undefined ? liveRelease(releases.filter((release) => release !== failed)) : undefined;
}

/** Every commit that was taken back or failed is recorded in the repository, with the reason. */
function planRecords({ repository }: DeliveryView, releases: readonly Stored<Release>[]): DeliveryAction[] {
  const known = new Set(repository.status?.badCommits?.map(({ release }) => release));
  return releases
    .filter((release) => (phaseOf(release) === 'RolledBack' || phaseOf(release) === 'Failed') && release.spec?.rollbackOf === undefined && !known.has(release.metadata.name))
    .map((release) => ({ type: 'mark-bad', release, reason: release.status?.message ?? phaseOf(release) }));
}

/** The default branch's commit, when all its runs are green and it has had no release; a commit once marked bad never goes out by itself. */
function commitToRelease({ repository, runs, releases, hasNothingToDeliver }: DeliveryView): string | undefined {
  const branch = repository.spec?.defaultBranch ?? 'main';
  const commit = repository.status?.branches?.find(({ name }) => name === branch)?.commit;
  if (commit === undefined || hasNothingToDeliver) return undefined;
  if (releases.some(({ spec }) => spec?.commit === commit) || repository.status?.badCommits?.some((bad) => bad.commit === commit) === true) return undefined;
  const last = lastRuns(runs);
  return last.length > 0 && last.every(({ status }) => status?.phase === 'Succeeded') ? commit : undefined;
}

/** The last run of each workflow: a commit that failed once may be pushed again and pass. */
export function lastRuns(runs: readonly Stored<WorkflowRun>[]): Stored<WorkflowRun>[] {
  const time = ({ metadata, status }: Stored<WorkflowRun>): string => status?.startedAt ?? metadata.creationTimestamp;
  const ordered = runs.toSorted((a, b) => a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp) || time(a).localeCompare(time(b)));
  return [...new Map(ordered.map((run) => [run.spec?.workflowPath ?? '', run])).values()];
}
