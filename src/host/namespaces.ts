import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf } from '../kernel/mod.ts';
import { enter, mount, mountFlags, namespaceFlags, setHostname, unmount, unshare } from './syscalls.ts';

/** Namespaces that a thread can make and pin without a process. */
export type PinnableNamespace = 'net' | 'ipc' | 'uts';

/**
 * Makes new namespaces and pins each by a bind mount on its file, so that they live without a process.
 * `setUp` runs inside them, synchronously. This thread is back in its own namespaces when the call returns.
 */
export function pinNamespaces(files: Partial<Record<PinnableNamespace, string>>, setUp: () => void = () => undefined): void {
  const kinds = (Object.keys(files) as PinnableNamespace[]).filter((kind) => files[kind] !== undefined);
  const origins = kinds.map((kind) => ({ kind, fd: openSync(`/proc/thread-self/ns/${kind}`, 'r') }));
  const pinned: string[] = [];
  try {
    unshare(kinds.reduce((flags, kind) => flags | namespaceFlags[kind], 0));
    for (const kind of kinds) {
      const file = files[kind] ?? '';
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, '', { flag: 'a', mode: 0o600 });
      mount(`/proc/thread-self/ns/${kind}`, file, '', mountFlags.bind);
      pinned.push(file);
    }
    setUp();
  } catch (error) {
    for (const file of pinned) unpinNamespace(file);
    throw error;
  } finally {
    for (const { kind, fd } of origins) {
      enter(fd, namespaceFlags[kind]);
      closeSync(fd);
    }
  }
}

/** Whether a namespace is pinned at the file. */
export function isPinned(file: string): boolean {
  const namespaceFileSystem = 0x6e736673;
  try {
    return statfsSync(file).type === namespaceFileSystem;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Removes the pin; the namespace goes when nothing else uses it. A no-op when it is not pinned. */
export function unpinNamespace(file: string): void {
  while (unmount(file, { lazy: true }));
  rmSync(file, { force: true });
}

/** Runs `work` inside the namespaces, on this thread and synchronously; what it opens (sockets) stays there. */
export function withinNamespaces<T>(files: Partial<Record<PinnableNamespace, string>>, work: () => T): T {
  const kinds = (Object.keys(files) as PinnableNamespace[]).filter((kind) => files[kind] !== undefined);
  const entered: { kind: PinnableNamespace; origin: number }[] = [];
  try {
    for (const kind of kinds) {
      const target = openSync(files[kind] ?? '', 'r');
      const origin = openSync(`/proc/thread-self/ns/${kind}`, 'r');
      entered.push({ kind, origin });
      try {
        enter(target, namespaceFlags[kind]);
      } finally {
        closeSync(target);
      }
    }
    return work();
  } finally {
    for (const { kind, origin } of entered.toReversed()) {
      enter(origin, namespaceFlags[kind]);
      closeSync(origin);
    }
  }
}

/** Names the machine inside a new UTS namespace: for `setUp` of `pinNamespaces`. */
export function nameHost(hostname: string, domainname = ''): void {
  setHostname(hostname, domainname);
}
