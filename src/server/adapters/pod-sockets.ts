import type { PodSockets } from '../../cluster/node/mod.ts';
import type { ScopedSockets } from '../../engine/mod.ts';
import { isError } from '../../kernel/mod.ts';

const prefix = 'pod-';
const nameOf = (podUid: string): string => `${prefix}${podUid}`;

/** A pod lives as long as it may; its socket is closed with it. The time is for one whose end nobody saw. */
const lifetimeSeconds = 7 * 86_400;
const [minMemoryBytes, minCpus] = [6 * 2 ** 20, 0.01];

/** Scoped endpoints of the engine as sockets of pods. Every image of the host may be used: a pod may name any of them, too. */
export function podSockets(scopes: Pick<ScopedSockets, 'open' | 'list' | 'close'>): PodSockets {
  const find = (podUid: string) => scopes.list().find(({ name }) => name === nameOf(podUid));
  const pathOf = ({ url }: { url: string }): string => url.slice('unix://'.length);
  return {
    open: async (podUid, { memoryBytes, cpuMilli }, signal) => {
      const existing = find(podUid);
      if (existing !== undefined) return pathOf(existing);
      const total = { ...(memoryBytes === undefined ? {} : { memoryBytes: Math.max(minMemoryBytes, memoryBytes) }), ...(cpuMilli === undefined ? {} : { cpus: Math.max(minCpus, cpuMilli / 1000) }) };
      return pathOf(await scopes.open({ name: nameOf(podUid), policy: { lifetimeSeconds, images: ['*'], total } }, signal));
    },
    close: async (podUid, signal) => {
      if (find(podUid) === undefined) return;
      await scopes.close(nameOf(podUid), signal).catch((error: unknown) => {
        if (!isError(error, 'not-found')) throw error;
      });
    },
    podUids: () => scopes.list().flatMap(({ name }) => (name.startsWith(prefix) ? [name.slice(prefix.length)] : [])),
  };
}
