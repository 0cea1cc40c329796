import { readFileSync } from 'node:fs';
import { readTextIfExists, writeFileAtomic } from '../kernel/mod.ts';

/** A process that cannot be mistaken for a later one with the same pid: its start time is in clock ticks since boot (proc(5), stat field 22). */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: string;
  readonly bootId: string;
}

/** The identity of a running process; undefined when there is none with that pid, or it is a zombie. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The command in parentheses may hold spaces and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return { pid, startTime: fields[19] ?? '', bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim() };
  } catch {
    return undefined;
  }
}

export function isAlive(identity: ProcessIdentity): boolean {
  const now = identityOf(identity.pid);
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId;
}

/** The recorded process if it still runs. A damaged or stale record counts as none. */
export async function readLiveProcess(file: string): Promise<ProcessIdentity | undefined> {
  const text = await readTextIfExists(file);
  if (text === undefined) return undefined;
  const recorded = parseIdentity(text);
  return recorded !== undefined && isAlive(recorded) ? recorded : undefined;
}

/** Records this process. */
export async function writeOwnIdentity(file: string): Promise<void> {
  const own = identityOf(process.pid);
  if (own !== undefined) await writeFileAtomic(file, `${JSON.stringify(own)}\n`);
}

/** By hand and not by a schema: the supervisor reads records and should stay small. */
function parseIdentity(text: string): ProcessIdentity | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('startTime' in value) || !('bootId' in value)) return undefined;
    const { pid, startTime, bootId } = value;
    return Number.isSafeInteger(pid) && typeof startTime === 'string' && typeof bootId === 'string' ? { pid: Number(pid), startTime, bootId } : undefined;
  } catch {
    return undefined;
  }
}
