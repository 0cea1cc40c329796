import { readFileSync } from 'node:fs';
import { GantryError } from '../../kernel/mod.ts';
import type { SecurityOptions } from '../types.ts';
import type { OciCapabilities } from './oci-spec.ts';

/** capabilities(7) in the order of their numbers. */
export const allCapabilities: readonly string[] = (
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW ' +
  'IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE ' +
  'AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
).split(' ').map((name) => `CAP_${name}`);

/** What an ordinary container gets: the set that Docker documents. */
export const defaultCapabilities: readonly string[] = (
  'CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE'
).split(' ').map((name) => `CAP_${name}`);

/** `net_admin` or `CAP_NET_ADMIN` → `CAP_NET_ADMIN`; `ALL` stays. `invalid` for a name that does not exist. */
export function normalizeCapability(name: string): string {
  const upper = name.toUpperCase();
  if (upper === 'ALL' || upper === 'CAP_ALL') return 'ALL';
  const full = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  if (!allCapabilities.includes(full)) throw new GantryError('invalid', `unknown capability ${JSON.stringify(name)}`);
  return full;
}

/** The bounding set: drop, then add, over the default set; everything for privileged ones. As Docker: `add ALL` with drops means all but those. */
export function planCapabilities(security: Pick<SecurityOptions, 'isPrivileged' | 'addCapabilities' | 'dropCapabilities'>): string[] {
  if (security.isPrivileged) return [...allCapabilities];
  const add = security.addCapabilities.map(normalizeCapability);
  const drop = security.dropCapabilities.map(normalizeCapability);
  const base = add.includes('ALL') ? allCapabilities : drop.includes('ALL') ? [] : defaultCapabilities;
  const kept = new Set([...base.filter((name) => !drop.includes(name)), ...add.filter((name) => name !== 'ALL')]);
  return allCapabilities.filter((name) => kept.has(name));
}

/** The sets for a process. A non-root user starts without effective ones (capabilities(7), "execve"); set-uid programs may still gain the bounding set. */
export function toOciCapabilities(bounding: readonly string[], uid: number): OciCapabilities {
  const held = uid === 0 ? [...bounding] : [];
  // Nothing is inheritable: CVE-2022-24769.
  return { bounding: [...bounding], effective: held, permitted: held, inheritable: [], ambient: [] };
}

/** The capabilities this process may hand on, from the CapBnd line of proc_pid_status(5). */
export function grantableCapabilities(statusText: string = readFileSync('/proc/self/status', 'utf8')): Set<string> {
  const bits = BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(statusText)?.[1] ?? '0'}`);
  return new Set(allCapabilities.filter((_, number) => (bits >> BigInt(number)) & 1n));
}
