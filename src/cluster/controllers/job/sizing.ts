import type { JobCount } from './counting.ts';
import { endOf, indexOf, isIndexed, isPodFailed, type Job, type JobBackoff, type ObservedJob, type Pod, type PodOrder, replacesOnlyFailed } from './observed.ts';

/** Which pods to make and which to take, to be at the size that the Job asks for. */
export interface Sizing {
  readonly create: PodOrder[];
  readonly remove: Pod[];
  /** When a failed pod's successor may come. */
  readonly waitMs?: number;
}

/** What one pass creates at most. */
const maxCreated = 500;

/** Only asked when nothing that was created is missing from the cache: the indexes of those are not known. */
export function planSize(observed: ObservedJob, count: JobCount, active: readonly Pod[], leaving: readonly Pod[]): Sizing {
  const { job } = observed;
  const parallelism = job.spec.parallelism ?? 1;
  const extra = isIndexed(job) ? doubles(active, job.spec.completions ?? 0) : [];
  if (extra.length > 0) return { create: [], remove: extra };
  const wanted = wantedActive(job, count, active.length, parallelism);
  if (active.length > wanted) return { create: [], remove: inRemovalOrder(active).slice(0, active.length - wanted) };
  const held = replacesOnlyFailed(job) ? leaving : [];
  const missing = Math.min(wanted - active.length - held.length, maxCreated);
  if (missing <= 0) return { create: [], remove: [] };
  return isIndexed(job) ? planIndexes(observed, count, [...active, ...held], missing) : planPlain(observed, missing);
}

function wantedActive(job: Job, count: JobCount, active: number, parallelism: number): number {
  const { completions } = job.spec;
  if (completions === undefined) return count.succeeded > 0 ? Math.min(active, parallelism) : parallelism;
  return Math.max(0, Math.min(parallelism, completions - count.succeeded - (isIndexed(job) ? count.failedIndexes.size : 0)));
}

function planPlain({ job, claim, backoff, nowMs }: ObservedJob, missing: number): Sizing {
  const waitMs = remainingMs(job, claim.owned, backoff, nowMs);
  return waitMs > 0 ? { create: [], remove: [], waitMs } : { create: Array.from({ length: missing }, () => ({})), remove: [] };
}

function planIndexes({ job, claim, backoff, nowMs }: ObservedJob, count: JobCount, occupying: readonly Pod[], missing: number): Sizing {
  const completions = job.spec.completions ?? 0;
  const isPerIndex = job.spec.backoffLimitPerIndex !== undefined;
  const taken = new Set([...count.completedIndexes, ...count.failedIndexes, ...occupying.map((pod) => indexOf(pod, completions))]);
  const sharedWaitMs = isPerIndex ? 0 : remainingMs(job, claim.owned, backoff, nowMs);
  if (sharedWaitMs > 0) return { create: [], remove: [], waitMs: sharedWaitMs };
  const create: PodOrder[] = [];
  const waits: number[] = [];
  for (let index = 0; index < completions && create.length + waits.length < missing; index += 1) {
    if (taken.has(index)) continue;
    const waitMs = isPerIndex ? remainingMs(job, claim.owned.filter((pod) => indexOf(pod, completions) === index), backoff, nowMs) : 0;
    if (waitMs > 0) waits.push(waitMs);
    else create.push({ index, ...(isPerIndex ? { failures: count.indexFailures.get(index) ?? 0 } : {}) });
  }
  return { create, remove: [], ...(waits.length === 0 ? {} : { waitMs: Math.min(...waits) }) };
}

/** How much longer the failures since the last success delay the next pod. */
function remainingMs(job: Job, pods: readonly Pod[], { initialMs, maxMs }: JobBackoff, nowMs: number): number {
  const lastSuccess = Math.max(0, ...pods.filter(({ status }) => status?.phase === 'Succeeded').map(endOf));
  const failures = pods.filter((pod) => isPodFailed(job, pod)).map(endOf).filter((end) => end > lastSuccess);
  if (failures.length === 0) return 0;
  return Math.max(...failures) + Math.min(maxMs, initialMs * 2 ** (failures.length - 1)) - nowMs;
}

/** Pods of an index that has another; the older one stays. */
function doubles(active: readonly Pod[], completions: number): Pod[] {
  const seen = new Set<number>();
  return active.toSorted((a, b) => (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? -1 : 1)).filter((pod) => {
    const index = indexOf(pod, completions);
    if (index === undefined || seen.has(index)) return true;
    seen.add(index);
    return false;
  });
}

/** Those that have done least go first. */
function inRemovalOrder(active: readonly Pod[]): Pod[] {
  const rank = ({ spec, status }: Pod): number => (spec?.nodeName === undefined ? 0 : status?.phase === 'Running' ? 2 : 1);
  return active.toSorted((a, b) => rank(a) - rank(b) || (a.metadata.creationTimestamp > b.metadata.creationTimestamp ? -1 : 1));
}
