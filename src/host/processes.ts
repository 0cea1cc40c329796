import { readFileSync } from 'node:fs';
import { errnoOf } from '../kernel/mod.ts';

/** A process that a later process with the same pid is not taken for: pid and start time in clock ticks since boot. */
export interface ProcessIdentity { readonly pid: number; readonly startTicks: number }

/** The identity of a running process; undefined when it is gone or a zombie (proc_pid_stat(5)). */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold anything, so fields count from its end: state is 0, start time 19.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return { pid, startTicks: Number(fields[19]) };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return undefined;
    throw error;
  }
}

/** Whether exactly this process still runs. */
export function isSameProcess(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startTicks === identity.startTicks;
}

/** Signals exactly this process; false when it is gone. */
export function signalProcess(identity: ProcessIdentity, signalNumber: number): boolean {
  if (!isSameProcess(identity)) return false;
  try {
    process.kill(identity.pid, signalNumber);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return false;
    throw error;
  }
}

/** The program's arguments, separated by zero bytes; empty when the process is gone. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return '';
    throw error;
  }
}

/** Changes with every boot of the machine (random(4)). */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
