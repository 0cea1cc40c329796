import type { CronSchedule } from '../../../api/mod.ts';

/** Which run is due, and when the next one is. */
export interface Due {
  /** The latest moment that has passed and was not yet served, in milliseconds. */
  readonly atMs?: number;
  /** How many passed before it; they are not made up for. */
  readonly missed: number;
  readonly nextMs?: number;
}

/** Kubernetes warns above this; the latest is started all the same. */
export const manyMissed = 100;

/** How far apart moments are followed one by one; a longer gap is jumped over. */
const maxSteps = 200;

/** The runs of a schedule between `sinceMs` (exclusive) and `nowMs`. */
export function dueAt(schedule: CronSchedule, sinceMs: number, nowMs: number): Due {
  const next = schedule.next(sinceMs);
  if (next === undefined) return { missed: 0 };
  if (next > nowMs) return { missed: 0, nextMs: next };
  let [latest, missed] = [next, 0];
  for (let steps = 0; ; steps += 1) {
    const following = schedule.next(latest);
    if (following === undefined) return { atMs: latest, missed };
    if (following > nowMs) return { atMs: latest, missed, nextMs: following };
    missed += 1;
    latest = steps < maxSteps ? following : jump(schedule, following, nowMs);
  }
}

/** A moment of the schedule not after `nowMs` and near it, found by halving the distance. */
function jump(schedule: CronSchedule, knownMs: number, nowMs: number): number {
  let best = knownMs;
  for (let distance = nowMs - knownMs; distance > 1_000; distance = Math.floor(distance / 2)) {
    const found = schedule.next(nowMs - distance);
    if (found !== undefined && found <= nowMs) best = found;
  }
  return best;
}
