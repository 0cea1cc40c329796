import { keyOf, type Release, type Repository, type Stored } from '../../api/mod.ts';
import type { Informer, Lister } from '../../client/mod.ts';
import { cancelled } from '../../kernel/mod.ts';
import { deployFolder } from '../options.ts';
import type { ManifestSource } from '../ports.ts';
import { numberOf, phaseOf, titleOf } from './phases.ts';

/** How long a release may take to appear after its commit is on the branch and green. */
const appearanceMs = 60_000;

export interface FollowOptions {
  readonly releases: Informer<Release>;
  readonly repositories: Lister<Repository>;
  readonly source: ManifestSource;
}

/** A commit that has come to be on a branch. */
export interface DeliveredPush {
  readonly namespace: string;
  readonly repository: string;
  /** `refs/heads/main`. */
  readonly ref: string;
  readonly commit: string;
}

/**
 * Tells how the delivery of a commit goes, line by line, until it is live, has failed, or was rolled back. Never throws for a delivery
 * that goes wrong: that is told, and the push stands. Only the default branch is delivered.
 */
export async function followDelivery(options: FollowOptions, { namespace, repository: name, ref, commit }: DeliveredPush, write: (line: string) => void, signal: AbortSignal): Promise<void> {
  const repository = { namespace, name };
  if (ref !== `refs/heads/${options.repositories.get(keyOf(repository))?.spec?.defaultBranch ?? 'main'}`) return;
  const files = await options.source.readManifests(repository, commit, deployFolder, signal);
  if (files.length === 0) return write(`no manifests in ${deployFolder}/: nothing to deliver`);
  const isOurs = ({ metadata, spec }: Release): boolean => metadata?.namespace === repository.namespace && spec?.repository === repository.name;
  const release = await told(options.releases, (candidate) => isOurs(candidate) && candidate.spec?.commit === commit && candidate.spec.rollbackOf === undefined, write, signal);
  if (release === undefined) return write(`no release appeared within ${appearanceMs / 1000} s; see 'gantry release list'`);
  if (phaseOf(release) !== 'RolledBack') return;
  const rollback = await told(options.releases, (candidate) => isOurs(candidate) && candidate.spec?.rollbackOf === release.metadata.name, write, signal);
  if (rollback !== undefined && phaseOf(rollback) === 'Live') write(`rolled back: release ${numberOf(rollback)} serves what was live before`);
}

/** Follows the first release that matches to its end. Undefined when none appears. */
function told(releases: Informer<Release>, matches: (release: Stored<Release>) => boolean, write: (line: string) => void, signal: AbortSignal): Promise<Stored<Release> | undefined> {
  return new Promise((resolve, reject) => {
    let said = '';
    const timer = setTimeout(() => finish(undefined), appearanceMs);
    const onAbort = (): void => {
      stop();
      clearTimeout(timer);
      reject(cancelled(signal));
    };
    const finish = (release: Stored<Release> | undefined): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      queueMicrotask(() => stop());
      resolve(release);
    };
    const stop = releases.onChange(({ type, object }) => {
      if (type === 'deleted' || !matches(object)) return;
      clearTimeout(timer);
      const line = describe(object);
      if (line !== said) write(line);
      said = line;
      if (['Live', 'Failed', 'RolledBack', 'Superseded'].includes(phaseOf(object))) finish(object);
    });
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** The message says what the phase means; only where it does not stand alone is the phase named. */
function describe(release: Stored<Release>): string {
  const { spec, status } = release;
  const title = spec?.rollbackOf === undefined ? titleOf(release) : `${titleOf(release)} (takes back ${spec.rollbackOf})`;
  const phase = phaseOf(release);
  if (phase === 'Pending') return `${title}: ${spec?.manifests.length ?? 0} objects, images pinned`;
  const message = status?.message ?? phase.toLowerCase();
  return `${title}: ${phase === 'Failed' ? 'failed: ' : ''}${message}`;
}
