import type { IncomingMessage, ServerResponse } from 'node:http';
import { once } from 'node:events';
import { keyOf, type RunPhase, type WorkflowRun } from '../api/mod.ts';
import type { Informer } from '../client/mod.ts';
import type { LogStore, RepositoryRef } from '../ci/mod.ts';
import { cancelled, GantryError } from '../kernel/mod.ts';
import type { AccessToken } from './access-tokens.ts';
import { requireAdministrator, type WebRoutes } from './web-server.ts';

export interface RunLogOptions {
  readonly runs: Informer<WorkflowRun>;
  readonly logs: LogStore;
  readonly tokens: readonly AccessToken[];
}

const hasEnded = { Queued: false, Running: false, Succeeded: true, Failed: true, Cancelled: true, Error: true } as const satisfies Record<RunPhase, boolean>;

/** `GET /api/v1/runs/<namespace>/<run>/logs?job=<id>&follow=true`: the text of one job's log, or of all jobs one after the other. */
export function runLogRoutes(options: RunLogOptions): WebRoutes {
  return {
    handle: async (request, response) => {
      const url = new URL(request.url ?? '/', 'http://web');
      const [, namespace, name] = /^\/api\/v1\/runs\/([^/]+)\/([^/]+)\/logs$/.exec(url.pathname) ?? [];
      if (namespace === undefined || name === undefined) return false;
      requireAdministrator(request, options.tokens);
      if (request.method !== 'GET') throw new GantryError('unsupported', 'only GET is supported here');
      const run = { namespace: decodeURIComponent(namespace), name: decodeURIComponent(name) };
      const found = options.runs.get(keyOf(run));
      if (found === undefined) throw new GantryError('not-found', `there is no run ${run.name} in namespace ${run.namespace}`);
      const job = url.searchParams.get('job') ?? undefined;
      if (job !== undefined && found.status?.jobs?.some(({ id }) => id === job) !== true) throw new GantryError('not-found', `run ${run.name} has no job ${job}`);
      await stream(options, run, job, url.searchParams.get('follow') === 'true', request, response);
      return true;
    },
  };
}

async function stream(options: RunLogOptions, run: RepositoryRef, job: string | undefined, follow: boolean, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort(new GantryError('cancelled', 'the reader went away')));
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
  response.flushHeaders();
  const write = async (text: string): Promise<void> => {
    if (!response.write(text)) await once(response, 'drain', { signal: gone.signal });
  };
  try {
    const jobs = job === undefined ? jobsOf(options.runs, run, follow, gone.signal) : [job];
    for await (const id of jobs) {
      if (job === undefined) await write(`==> ${id} <==\n`);
      for await (const text of options.logs.read(run, id, follow, gone.signal)) await write(text);
    }
    response.end();
  } catch (error) {
    // The status is out; a reader that left needs no answer, any other failure breaks the connection.
    if (!gone.signal.aborted) response.destroy();
    if (!request.destroyed && !gone.signal.aborted) throw error;
  }
}

/** The run's jobs in the order they started; with `follow` also those that start later, until the run has ended. */
async function* jobsOf(runs: Informer<WorkflowRun>, run: RepositoryRef, follow: boolean, signal: AbortSignal): AsyncGenerator<string> {
  const told = new Set<string>();
  for (;;) {
    const changed = follow ? nextChange(runs, run, signal) : undefined;
    const { status } = runs.get(keyOf(run)) ?? {};
    const started = (status?.jobs ?? []).filter(({ id, startedAt }) => startedAt !== undefined && !told.has(id)).toSorted((a, b) => (a.startedAt ?? '').localeCompare(b.startedAt ?? ''));
    for (const { id } of started) {
      told.add(id);
      yield id;
    }
    if (changed === undefined || (started.length === 0 && hasEnded[status?.phase ?? 'Queued'])) {
      void changed?.catch(() => undefined);
      return;
    }
    if (started.length === 0) await changed;
    else void changed.catch(() => undefined);
  }
}

/** Resolves at the next change of the run after the call, or when it is deleted. */
function nextChange(runs: Informer<WorkflowRun>, run: RepositoryRef, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let isFirst = true;
    const finish = (settle: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      queueMicrotask(() => stop());
      settle();
    };
    const onAbort = (): void => finish(() => reject(cancelled(signal)));
    // What is cached is reported at once; only what comes later is a change.
    const stop = runs.onChange(({ object }) => {
      if (!isFirst && keyOf(object) === keyOf(run)) finish(resolve);
    });
    isFirst = false;
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}
