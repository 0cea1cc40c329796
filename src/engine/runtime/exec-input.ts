import type { ChildProcess } from 'node:child_process';
import { closeSync, constants, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { errnoOf, pollUntil } from '../../kernel/mod.ts';
import { LateWriter } from './late-writer.ts';

/** The bits of a descriptor's flags that tell whether it reads or writes (fcntl(2)). */
const accessMode = 3;

/**
 * The stdin of a process that a foreground `runc exec` (`child`) runs. What is written goes straight into the pipe that the process reads, and not through
 * runc, which is left to wait for an input that says nothing: runc passes on every signal it gets, also the SIGPIPE of its own write to
 * a process that has closed its stdin, and that signal would end the process. Here such a write is an error of the stream.
 */
export function openExecInput(child: ChildProcess, isStarted: () => boolean): Writable {
  const { stdin: idle } = child;
  const input = new LateWriter(async () => {
    const hasEnded = (): boolean => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
    await pollUntil('the process to begin', () => hasEnded() || isStarted() || undefined, { timeoutMs: 600_000, intervalMs: 2 }, AbortSignal.timeout(610_000));
    if (child.pid === undefined || hasEnded()) return undefined;
    // Of a runtime that keeps no such pipe the ordinary input is right.
    const pipe = findInputPipe(child.pid);
    return pipe === undefined ? (idle ?? undefined) : openPipeWriter(pipe);
  });
  // The process reads the end of its input when runc has closed its side too.
  input.once('close', () => idle?.end());
  child.once('exit', () => input.destroy());
  return input;
}

/**
 * Where runc holds the write end of a pipe whose other end it does not hold: its own wake-up pipe has both ends there. What it has inherited of us has
 * the same number here.
 */
function findInputPipe(pid: number): string | undefined {
  const folder = `/proc/${pid}`;
  const pipes = namesIn(`${folder}/fd`).filter((fd) => Number(fd) > 2).flatMap((fd) => {
    const target = orUndefined(() => readlinkSync(`${folder}/fd/${fd}`));
    const flags = /^flags:\s*([0-7]+)$/m.exec(orUndefined(() => readFileSync(`${folder}/fdinfo/${fd}`, 'utf8')) ?? '')?.[1];
    if (target?.startsWith('pipe:') !== true || flags === undefined || target === orUndefined(() => readlinkSync(`/proc/self/fd/${fd}`))) return [];
    return [{ path: `${folder}/fd/${fd}`, target, isWritten: (parseInt(flags, 8) & accessMode) === constants.O_WRONLY }];
  });
  const own = pipes.filter(({ target, isWritten }) => isWritten && !pipes.some((other) => other.target === target && !other.isWritten));
  return own.length === 1 ? own[0]?.path : undefined;
}

/** Undefined when nobody reads the pipe any more. */
function openPipeWriter(path: string): Writable | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    // No reader, or runc has just ended.
    if (errnoOf(error) === 'ENXIO' || errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const pipe = new Socket({ fd, readable: false, writable: true });
    pipe.once('finish', () => pipe.destroy());
    return pipe;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function namesIn(folder: string): string[] {
  return orUndefined(() => readdirSync(folder)) ?? [];
}

/** Descriptors and processes go while one looks at them. */
function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return undefined;
    throw error;
  }
}
