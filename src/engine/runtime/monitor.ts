import { closeSync, constants, openSync, readFileSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { commandLine, identifyProcess, makeNode, openPipe, reapChild, spawnDetached } from '../../host/mod.ts';
import { baseEnv, cancelled, errnoOf, GantryError, pollUntil } from '../../kernel/mod.ts';
import type { ContainerPaths, EnginePaths } from '../paths.ts';
import type { RuntimePrograms } from './detect.ts';

export interface MonitorRequest {
  readonly id: string;
  readonly paths: ContainerPaths;
  readonly logFile: string;
  readonly tty: boolean;
  readonly stdin: boolean;
  /** Whether stdin stays open when a writer leaves. */
  readonly keepStdinOpen: boolean;
}

/** conmon's message on the sync pipe: the pid, or a negative number with the runtime's words. */
interface SyncMessage { data?: number; pid?: number; message?: string }

/**
 * Starts a conmon that creates the container and stays with it: it owns stdio, log and exit status and does not depend on us.
 * Resolves to the pid of the created (not yet started) container. `invalid` when the runtime refuses the bundle.
 */
export async function createMonitoredContainer(programs: RuntimePrograms, engine: EnginePaths, request: MonitorRequest, signal: AbortSignal): Promise<number> {
  const { paths } = request;
  rmSync(paths.aliveFifo, { force: true });
  makeNode(paths.aliveFifo, 0o010600, 0, 0);
  // Opened for both so that opening does not wait for a reader; the monitor inherits it and is the only one left to hold it.
  const alive = openSync(paths.aliveFifo, constants.O_RDWR);
  const { readFd, writeFd } = openPipe();
  let pid: number;
  try {
    pid = spawnDetached({
      program: programs.monitorPath,
      args: monitorArguments(programs, engine, request),
      env: { ...baseEnv(), _OCI_SYNCPIPE: '3' },
      folder: paths.run,
      descriptors: [writeFd, alive],
    });
  } catch (error) {
    closeSync(readFd);
    throw new GantryError('unavailable', 'cannot start conmon', { cause: error });
  } finally {
    closeSync(writeFd);
    closeSync(alive);
  }
  try {
    return readPid(await readLine(readFd, signal), signal);
  } finally {
    await reapStarter(pid);
  }
}

/** conmon forks and its first process ends at once; the second belongs to whoever adopts orphans. */
async function reapStarter(pid: number): Promise<void> {
  await pollUntil('conmon to have forked', () => reapChild(pid) || undefined, { timeoutMs: 10_000, intervalMs: 1 }, AbortSignal.timeout(20_000));
}

function monitorArguments(programs: RuntimePrograms, engine: EnginePaths, { id, paths, logFile, tty, stdin, keepStdinOpen }: MonitorRequest): string[] {
  return [
    ...['--api-version', '1', '--cid', id, '--cuuid', id, '--name', id],
    ...['--runtime', programs.path, '--runtime-arg', '--root', '--runtime-arg', engine.runtimeState],
    ...['--bundle', paths.bundle, '--container-pidfile', paths.pidFile, '--conmon-pidfile', paths.monitorPidFile],
    ...['--exit-dir', engine.exits, '--persist-dir', paths.run, '--full-attach'],
    ...['--log-path', `k8s-file:${logFile}`, '--log-level', 'error', '--no-sync-log'],
    ...(tty ? ['--terminal'] : []),
    ...(stdin ? ['--stdin'] : []),
    ...(stdin && keepStdinOpen ? ['--leave-stdin-open'] : []),
  ];
}

/** The text up to the first line end, or to the end of the stream. Empty when the signal aborts. */
function readLine(fd: number, signal: AbortSignal): Promise<string> {
  const stream = new Socket({ fd, readable: true, writable: false });
  stream.setEncoding('utf8');
  return new Promise((resolve, reject) => {
    let text = '';
    const finish = (): void => {
      signal.removeEventListener('abort', finish);
      stream.destroy();
      resolve(text);
    };
    stream.on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n')) finish();
    });
    stream.on('end', finish);
    stream.on('error', reject);
    if (signal.aborted) finish();
    else signal.addEventListener('abort', finish, { once: true });
  });
}

function readPid(text: string, signal: AbortSignal): number {
  if (signal.aborted) throw cancelled(signal);
  if (text.trim() === '') throw new GantryError('internal', 'conmon ended without an answer');
  const message = JSON.parse(text.split('\n')[0] ?? '') as SyncMessage;
  const pid = message.data ?? message.pid ?? -1;
  if (pid > 0) return pid;
  throw runtimeError(message.message ?? `the runtime failed with ${pid}`);
}

/** What a user can mend (a program that does not exist, a mount that fails) is `invalid`; `details.exitCode` is what Docker answers. */
export function runtimeError(message: string): GantryError {
  const text = lastError(message).replace(/^(runc|crun) create failed: /, '');
  const isMissing = /executable file .*not found|exec: .*no such file or directory/i.test(text);
  const isForbidden = /exec: .*permission denied|open executable: permission denied/i.test(text);
  return new GantryError('invalid', text, { details: { exitCode: isMissing ? 127 : isForbidden ? 126 : 128 } });
}

/** The message of the last line that is an error in logrus' form (`time="…" level=error msg="…"`), else the whole text. */
function lastError(text: string): string {
  const lines = text.split('\n').flatMap((line) => {
    const match = /\blevel=(?:error|fatal) msg=("(?:[^"\\]|\\.)*"|\S+)/.exec(line);
    return match?.[1] === undefined ? [] : [match[1]];
  });
  const last = lines.at(-1);
  if (last === undefined) return text.trim();
  try {
    return String(JSON.parse(last));
  } catch {
    return last.replace(/^"|"$/g, '');
  }
}

/** Calls back once when the monitor holding the FIFO has ended, or is about to (it closes its descriptors before its last act). At once when there is none. Disposing stops watching. */
export function watchMonitor(paths: ContainerPaths, onGone: () => void): Disposable {
  let fd: number;
  try {
    fd = openSync(paths.aliveFifo, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    const timer = setImmediate(onGone);
    return { [Symbol.dispose]: () => clearImmediate(timer) };
  }
  const socket = new Socket({ fd, readable: true, writable: false });
  socket.on('data', () => undefined);
  socket.on('end', onGone);
  socket.on('error', onGone);
  return { [Symbol.dispose]: () => void socket.removeAllListeners('end').on('error', () => undefined).destroy() };
}

/** The monitor's pid from its file; undefined when it was never written. */
export function readMonitorPid(paths: ContainerPaths): number | undefined {
  return readPidFile(paths.monitorPidFile);
}

/** A pid file's number, or undefined. */
export function readPidFile(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, 'utf8').trim());
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whether the monitor of the last run still lives. Its pid may be another process's by now, so its arguments must name the container. */
export function isMonitorAlive(paths: ContainerPaths, id: string): boolean {
  const pid = readMonitorPid(paths);
  return pid !== undefined && identifyProcess(pid) !== undefined && commandLine(pid).includes(id);
}
