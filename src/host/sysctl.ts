import { readFileSync, writeFileSync } from 'node:fs';
import { errnoOf, GantryError } from '../kernel/mod.ts';

/** `net.ipv4.ip_forward` → its file. Dots inside interface names are written as slashes, as sysctl(8) does. */
export function sysctlPath(name: string): string {
  if (!/^[a-z0-9_][a-zA-Z0-9_./-]*$/.test(name) || name.includes('..')) throw new GantryError('invalid', `invalid sysctl name ${JSON.stringify(name)}`);
  return `/proc/sys/${name.replace(/[./]/g, (mark) => (mark === '.' ? '/' : '.'))}`;
}

/** The value, or undefined when this kernel has no such setting. */
export function readSysctl(name: string): string | undefined {
  try {
    return readFileSync(sysctlPath(name), 'utf8').trim();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Writes the value when it differs. Settings below `net.` are those of this thread's network namespace. */
export function writeSysctl(name: string, value: string): void {
  try {
    if (readSysctl(name) !== value) writeFileSync(sysctlPath(name), value);
  } catch (error) {
    throw new GantryError('unsupported', `cannot set ${name} to ${value}`, { cause: error });
  }
}
