import { keyOf, type WorkflowRun } from '../../api/mod.ts';
import type { Informer } from '../../client/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import { isRunFinished } from '../plan/plan-run.ts';
import type { LogStore, RepositoryRef } from '../ports.ts';

export interface RunLogSelection {
  /** Only this job's log, as it is; without it, all jobs' one after the other, each under a heading. */
  readonly job?: string;
  readonly follow: boolean;
}

/** The logs of a run. `not-found` for an unknown run or job. Following goes on until the run has ended. */
export async function* readRunLogs(runs: Informer<WorkflowRun>, logs: LogStore, run: RepositoryRef, { job, follow }: RunLogSelection, signal: AbortSignal): AsyncGenerator<string> {
  const printed = new Set<string>();
  for (;;) {
    const changed = nextChange(runs, run, signal);
    const current = runs.get(keyOf(run));
    if (current === undefined && printed.size === 0) throw new GantryError('not-found', `there is no run ${keyOf(run)}`);
    const jobs = current?.status?.jobs ?? [];
    if (job !== undefined && jobs.length > 0 && !jobs.some(({ id }) => id === job)) throw new GantryError('not-found', `the run has no job ${job}; it has ${jobs.map(({ id }) => id).join(', ')}`);
    const next = jobs.find(({ id, pod }) => pod !== undefined && !printed.has(id) && (job === undefined || id === job));
    if (next !== undefined) {
      printed.add(next.id);
      if (job === undefined) yield `━━ ${next.name}\n`;
      yield* logs.read(run, next.id, follow, signal);
      continue;
    }
    const isOver = current === undefined || isRunFinished(current) || (job !== undefined && printed.has(job));
    if (!follow || isOver || signal.aborted) return;
    await changed;
  }
}

function nextChange(runs: Informer<WorkflowRun>, run: RepositoryRef, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let isListening = false;
    const done = (): void => {
      if (!isListening) return;
      stop();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const stop = runs.onChange(({ object }) => {
      if (keyOf(object) === keyOf(run)) done();
    });
    // What is cached already is told while listening starts, and is no change.
    isListening = true;
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
