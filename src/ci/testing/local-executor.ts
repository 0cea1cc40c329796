import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished, pipeline } from 'node:stream/promises';
import { baseEnv, cancelled, errnoOf } from '../../kernel/mod.ts';
import type { JobExecutor, JobRequest, JobSession, JobStreams, RepositoryRef } from '../ports.ts';

/** Carries out jobs as processes of this machine in a folder of their own: all of a job but its containers, for tests. */
export class LocalJobExecutor implements JobExecutor {
  readonly requests: JobRequest[] = [];
  openSessions = 0;

  readonly swept: string[] = [];

  sweep(run: RepositoryRef): Promise<void> {
    this.swept.push(run.name);
    return Promise.resolve();
  }

  async open(request: JobRequest, _progress: (line: string) => void, signal: AbortSignal): Promise<JobSession> {
    signal.throwIfAborted();
    this.requests.push(request);
    this.openSessions += 1;
    const folder = await mkdtemp(join(tmpdir(), 'gantry-job-'));
    const [workspace, temporary] = [join(folder, 'workspace'), join(folder, 'temporary')];
    await Promise.all([mkdir(workspace), mkdir(temporary)]);
    const ended = new AbortController();
    return {
      workspace,
      temporary,
      exec: (command, streams, execSignal) => execute(command, request.env, workspace, streams, AbortSignal.any([execSignal, ended.signal])),
      [Symbol.asyncDispose]: async () => {
        ended.abort();
        await rm(folder, { recursive: true, force: true });
        this.openSessions -= 1;
      },
    };
  }
}

async function execute([program = 'false', ...args]: string[], env: Record<string, string>, cwd: string, streams: JobStreams, signal: AbortSignal): Promise<{ exitCode: number }> {
  signal.throwIfAborted();
  const child = spawn(program, args, { cwd, env: { ...baseEnv(), ...env }, stdio: 'pipe', detached: true });
  const onAbort = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    if (streams.stdin === undefined) child.stdin.end();
    else pipeline(streams.stdin, child.stdin).catch(() => undefined);
    for (const [source, sink] of [[child.stdout, streams.stdout], [child.stderr, streams.stderr]] as const) {
      if (sink === undefined) source.resume();
      else source.pipe(sink, { end: false });
    }
    const [code] = (await once(child, 'close')) as [number | null];
    await Promise.all([finished(child.stdout, { writable: false }), finished(child.stderr, { writable: false })]);
    if (signal.aborted) throw cancelled(signal);
    return { exitCode: code ?? 137 };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return { exitCode: 127 };
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
