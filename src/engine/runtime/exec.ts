import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { openPseudoTerminal, parentOf, sessionOf } from '../../host/mod.ts';
import { baseEnv, cancelled, errnoOf, GantryError, randomHex } from '../../kernel/mod.ts';
import type { OciProcess } from '../bundle/oci-spec.ts';
import { serializeSpec } from '../bundle/bundle.ts';
import type { ExecSession, TerminalSize } from '../engine.ts';
import type { RuntimePrograms } from './detect.ts';
import { openExecInput } from './exec-input.ts';
import { readPidFile, runtimeError } from './monitor.ts';

export interface ExecRequest {
  readonly containerId: string;
  readonly stateRoot: string;
  /** Folder for the process file, pid file and the runtime's log; on the run file system. */
  readonly scratchFolder: string;
  readonly process: OciProcess;
  readonly stdin: boolean;
  /** Host pids of the container's processes: SIGKILL ends the exec's whole session and not only its first process. */
  readonly listProcesses: () => readonly number[];
  readonly size: TerminalSize | undefined;
}

/**
 * Runs a further process in a running container. The runtime's `exec` is our child and passes stdio on, so the session ends with this
 * program, as Docker's do. With a tty, stdio is the slave of a terminal we own: resizing is a size change and a SIGWINCH.
 * The signal kills the process.
 */
export async function startExec(programs: RuntimePrograms, request: ExecRequest, signal: AbortSignal): Promise<ExecSession> {
  if (signal.aborted) throw cancelled(signal);
  const base = join(request.scratchFolder, `exec-${randomHex(6)}`);
  const files = { process: `${base}.json`, pid: `${base}.pid`, log: `${base}.log` };
  await writeFile(files.process, serializeSpec(request.process), { mode: 0o600 });
  const args = [
    ...['--root', request.stateRoot, '--log', files.log, '--log-format', 'json'],
    ...['exec', '--process', files.process, '--pid-file', files.pid, request.containerId],
  ];
  const started = request.process.terminal ? spawnInTerminal(programs.path, args, request.size) : spawnWithPipes(programs, args, request.stdin, () => readPidFile(files.pid) !== undefined);
  const kill = (name: string): void => killProcess(files.pid, started.child, name, request.listProcesses);
  const onAbort = (): void => kill('SIGKILL');
  signal.addEventListener('abort', onAbort, { once: true });
  const exit = waitForEnd(started, files).finally(() => signal.removeEventListener('abort', onAbort));
  // A caller that never asks for the exit must not crash the program.
  exit.catch(() => undefined);
  return {
    get pid() {
      return readPidFile(files.pid);
    },
    stdin: started.stdin,
    stdout: started.stdout,
    stderr: started.stderr,
    exit,
    resize: started.resize,
    kill,
  };
}

interface StartedExec {
  child: ChildProcess;
  stdin: Writable | undefined;
  stdout: Readable;
  stderr: Readable | undefined;
  resize: (size: TerminalSize) => void;
}

function spawnWithPipes({ name, path }: RuntimePrograms, args: readonly string[], hasStdin: boolean, isStarted: () => boolean): StartedExec {
  const child = spawn(path, args, { env: baseEnv(), stdio: [hasStdin ? 'pipe' : 'ignore', 'pipe', 'pipe'] });
  if (child.stdout === null || child.stderr === null) throw new GantryError('internal', 'exec has no output streams');
  // The process may end before its input does.
  child.stdin?.on('error', () => undefined);
  // crun gives the process our own pipe.
  const stdin = child.stdin !== null && name === 'runc' ? openExecInput(child, isStarted) : (child.stdin ?? undefined);
  stdin?.on('error', () => undefined);
  return { child, stdin, stdout: child.stdout, stderr: child.stderr, resize: () => undefined };
}

function spawnInTerminal(path: string, args: readonly string[], size: TerminalSize | undefined): StartedExec {
  const { master: terminal, slaveFd, resize: setSize } = openPseudoTerminal();
  if (size !== undefined) setSize(size);
  // Detached: its own session, so that a hang-up of our terminal is not its.
  const child = spawn(path, args, { env: { ...baseEnv(), TERM: 'xterm' }, stdio: [slaveFd, slaveFd, slaveFd], detached: true });
  closeSync(slaveFd);
  const stdout = new PassThrough();
  // The kernel reports EIO when the last holder of the slave has gone: the end of the output.
  terminal.on('error', (error) => (errnoOf(error) === 'EIO' ? stdout.end() : stdout.destroy(error)));
  terminal.pipe(stdout);
  child.once('error', () => terminal.destroy());
  child.once('exit', () => void terminal.on('end', () => stdout.end()));
  stdout.on('close', () => terminal.destroy());
  const resize = (next: TerminalSize): void => {
    if (terminal.destroyed) return;
    setSize(next);
    child.kill('SIGWINCH');
  };
  return { child, stdin: terminal, stdout, stderr: undefined, resize };
}

/** The exit code once the process has ended and its output was read, or the reason it never began. */
async function waitForEnd({ child, stdout, stderr }: StartedExec, files: { process: string; pid: string; log: string }): Promise<{ exitCode: number; error?: string }> {
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', (error) => reject(new GantryError('unavailable', 'cannot start the OCI runtime', { cause: error })));
      child.once('exit', (exitCode) => resolve(exitCode ?? 137));
    });
    await Promise.all([stdout, stderr].map((stream) => (stream === undefined ? undefined : finished(stream, { cleanup: true }).catch(() => undefined))));
    const failure = readPidFile(files.pid) === undefined ? await runtimeFailure(files.log) : undefined;
    if (failure === undefined) return { exitCode: code };
    const error = runtimeError(failure);
    return { exitCode: typeof error.details.exitCode === 'number' ? error.details.exitCode : code, error: error.message };
  } finally {
    await Promise.all(Object.values(files).map((file) => rm(file, { force: true })));
  }
}

/** The runtime's last error line, when it wrote one. */
async function runtimeFailure(logFile: string): Promise<string | undefined> {
  const text = await readFile(logFile, 'utf8').catch(() => '');
  const errors = text.split('\n').flatMap((line) => {
    const match = /"msg":("(?:[^"\\]|\\.)*")/.exec(line);
    return match?.[1] === undefined || !/"level":"(error|fatal)"/.test(line) ? [] : [JSON.parse(match[1]) as string];
  });
  return errors.at(-1);
}

function killProcess(pidFile: string, child: ChildProcess, signalName: string, listProcesses: () => readonly number[]): void {
  if (child.exitCode !== null || child.signalCode !== null) return;
  // The runtime writes the file a moment after the process has begun; it is the process's parent.
  const pid = readPidFile(pidFile) ?? listProcesses().find((other) => parentOf(other) === child.pid);
  if (pid === undefined) return void child.kill('SIGKILL');
  signalIfAlive(pid, signalName);
  if (signalName !== 'SIGKILL') return;
  // Looked for after the leader is dead, and again: one that was just being forked shows up the next time.
  for (let round = 0; round < 100; round += 1) {
    const members = listProcesses().filter((other) => sessionOf(other) === pid);
    if (members.length === 0) return;
    for (const member of members) signalIfAlive(member, signalName);
  }
}

function signalIfAlive(pid: number, signalName: string): void {
  try {
    process.kill(pid, signalName);
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
}
