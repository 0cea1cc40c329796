import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { ExecRequest, ExecResult } from '../../cluster/node/mod.ts';
import type { ExecSession } from '../../engine/mod.ts';
import { cancelled } from '../../kernel/mod.ts';

/** Joins an exec of the engine to a caller's streams. When the caller leaves, the process is killed. */
export async function pipeToExec(session: ExecSession, request: ExecRequest, signal: AbortSignal): Promise<ExecResult> {
  const onAbort = (): void => session.kill('SIGKILL');
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    if (session.stdin !== undefined && request.stdin !== undefined) {
      session.stdin.on('error', () => undefined);
      request.stdin.pipe(session.stdin);
    }
    void followSizes(session, request.resizes);
    await Promise.all([copy(session.stdout, request.stdout), session.stderr === undefined ? undefined : copy(session.stderr, request.stderr)]);
    const { exitCode } = await session.exit;
    if (signal.aborted) throw cancelled(signal);
    return { exitCode };
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Output nobody asked for is read all the same, so that the process does not wait for a reader. */
async function copy(source: Readable, target: Writable | undefined): Promise<void> {
  if (target === undefined) source.resume();
  else source.pipe(target, { end: false });
  await finished(source, { writable: false }).catch(() => undefined);
}

async function followSizes(session: ExecSession, sizes: ExecRequest['resizes']): Promise<void> {
  if (sizes === undefined) return;
  for await (const size of sizes) session.resize(size);
}
