import { type ChildProcess, spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { cancelled, throwIfAborted } from './clock.ts';
import { errnoOf, GantryError } from './errors.ts';

export interface CommandOptions {
  readonly cwd?: string;
  /** The whole environment; the parent's is not inherited unless passed. Default: PATH, HOME, LANG and TMPDIR of the parent. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Uint8Array | Readable;
  /** Exit codes that are results and not errors. Default: only 0. */
  readonly okCodes?: readonly number[];
  /** What standard output and error may hold together, in bytes. Default 64 MiB; more is an `exhausted` error. */
  readonly maxOutputBytes?: number;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The variables a child needs to find programs and temporary space, and nothing that could be a secret. */
export function baseEnv(): Record<string, string> {
  const kept = ['PATH', 'HOME', 'LANG', 'TMPDIR'];
  return Object.fromEntries(kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
}

/** Runs a program without a shell. `unavailable`: not installed; `internal`: an exit code that is not in `okCodes`, with the end of stderr. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions,
  signal: AbortSignal,
): Promise<CommandResult> {
  throwIfAborted(signal);
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? baseEnv(),
    stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  const onAbort = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const output = collect(child, options.maxOutputBytes ?? 64 << 20);
    const fed = feed(child, options.stdin);
    // A source that fails must not leave the program waiting for more; the failure itself is reported below.
    fed.catch(() => child.kill('SIGKILL'));
    const code = await exitCode(command, child);
    await fed;
    if (signal.aborted) throw cancelled(signal);
    const { stdout, stderr } = output();
    if (!(options.okCodes ?? [0]).includes(code)) {
      const tail = stderr.trim().slice(-2000) || stdout.trim().slice(-2000);
      throw new GantryError('internal', `${command} ${args[0] ?? ''} exited with ${code}: ${tail}`, { details: { code, stderr } });
    }
    return { code, stdout, stderr };
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function collect(child: ChildProcess, maxBytes: number): () => { stdout: string; stderr: string } {
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  let size = 0;
  let isOver = false;
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxBytes) return void chunks[name].push(chunk);
      isOver = true;
      child.kill('SIGKILL');
    });
  }
  return () => {
    if (isOver) throw new GantryError('exhausted', `the command printed more than ${maxBytes} bytes`);
    return { stdout: Buffer.concat(chunks.stdout).toString(), stderr: Buffer.concat(chunks.stderr).toString() };
  };
}

async function feed(child: ChildProcess, stdin: CommandOptions['stdin']): Promise<void> {
  if (stdin === undefined || child.stdin === null) return;
  const source = typeof stdin === 'string' || stdin instanceof Uint8Array ? Readable.from([stdin]) : stdin;
  try {
    await pipeline(source, child.stdin);
  } catch (error) {
    // The program may stop reading before we stop writing; its exit code is the answer then.
    if (errnoOf(error) !== 'EPIPE' && errnoOf(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  }
}

function exitCode(command: string, child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) =>
      reject(
        errnoOf(error) === 'ENOENT'
          ? new GantryError('unavailable', `the program ${command} is not installed`, { cause: error })
          : new GantryError('internal', `cannot start ${command}`, { cause: error }),
      ),
    );
    child.once('close', (code, signalName) => resolve(code ?? 128 + (signalName === null ? 0 : signalNumber(signalName))));
  });
}

function signalNumber(name: NodeJS.Signals): number {
  return ({ SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGPIPE: 13, SIGTERM: 15 } as Record<string, number>)[name] ?? 0;
}
