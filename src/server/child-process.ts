import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { baseEnv, type ErrorCode, errorCodes } from '../kernel/mod.ts';

/** What a child tells its supervisor over the IPC channel. */
export type ChildMessage = { type: 'ready' } | { type: 'failed'; code: ErrorCode; message: string };

export interface ChildExit {
  /** For people: `exit code 1`, `signal SIGKILL`. */
  readonly reason: string;
  /** What the child said before it ended, if it said why. */
  readonly failure: { code: ErrorCode; message: string } | undefined;
  readonly wasReady: boolean;
}

export interface ChildCommand {
  readonly execPath: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Standard output and error are appended here, so that the supervisor's end does not break them. */
  readonly logFile: string;
}

/**
 * Runs one child to its end. When `signal` aborts it gets SIGTERM, and SIGKILL after `graceMs`. The IPC channel is its lifeline:
 * a supervisor that dies without a word closes it, and the child ends by itself.
 */
export async function runChild(command: ChildCommand, graceMs: number, onReady: () => void, signal: AbortSignal): Promise<ChildExit> {
  const log = await open(command.logFile, 'a', 0o600);
  const child = spawn(command.execPath, command.args, { stdio: ['ignore', log.fd, log.fd, 'ipc'], env: { ...baseEnv(), ...command.env } });
  await log.close();
  let [failure, wasReady]: [ChildExit['failure'], boolean] = [undefined, false];
  child.on('message', (message) => {
    if (!isChildMessage(message)) return;
    if (message.type === 'failed') failure = { code: message.code, message: message.message };
    if (message.type === 'ready') {
      wasReady = true;
      onReady();
    }
  });
  const onAbort = (): void => {
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), graceMs).unref();
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  const reason = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, name) => resolve(name === null ? `exit code ${code ?? 0}` : `signal ${name}`));
  });
  signal.removeEventListener('abort', onAbort);
  return { reason, failure, wasReady };
}

function isChildMessage(value: unknown): value is ChildMessage {
  if (typeof value !== 'object' || value === null || !('type' in value)) return false;
  if (value.type === 'ready') return true;
  return value.type === 'failed' && 'message' in value && typeof value.message === 'string' && 'code' in value && errorCodes.some((code) => code === value.code);
}
