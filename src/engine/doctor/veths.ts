import { join } from 'node:path';
import { isPinned, LinkTable, withinNamespaces } from '../../host/mod.ts';
import { isError, pollUntil } from '../../kernel/mod.ts';
import { linkPrefix } from '../networks/network-manager.ts';
import type { EnginePaths } from '../paths.ts';
import { namesIn } from './state.ts';

/**
 * Interfaces of the instance whose other end is in no namespace of a container, pod or build: of namespaces that some process keeps although
 * they were given up. The kernel removes those of other namespaces by itself, a moment after the namespace.
 */
export async function findStrayVeths(instanceId: string, paths: EnginePaths, isWantedNamespace: (shortId: string) => boolean): Promise<string[]> {
  const pins = (await namesIn(paths.namespaces)).filter((name) => name.startsWith('net-') && isWantedNamespace(name.slice(4)));
  using links = LinkTable.open();
  const veths = links.list().filter(({ name }) => name.startsWith(`${linkPrefix(instanceId)}v`));
  if (veths.length === 0) return [];
  const wanted = new Set(pins.flatMap((name) => peersInside(join(paths.namespaces, name))));
  return veths.filter(({ index }) => !wanted.has(index)).map(({ name }) => name);
}

/** How long the kernel may take: usually 20 to 70 ms, more on a busy machine. */
const goneWithinMs = 2000;

/** As `findStrayVeths`, without those that the kernel is just removing. */
export async function findLastingVeths(instanceId: string, paths: EnginePaths, isWantedNamespace: (shortId: string) => boolean, signal: AbortSignal): Promise<string[]> {
  let strays: string[] = [];
  const areGone = async (): Promise<true | undefined> => {
    strays = await findStrayVeths(instanceId, paths, isWantedNamespace);
    return strays.length === 0 ? true : undefined;
  };
  await pollUntil('interfaces to go', areGone, { timeoutMs: goneWithinMs }, signal).catch((error: unknown) => {
    if (!isError(error, 'timeout')) throw error;
  });
  return strays;
}

/** Indexes on the host of the other ends of a namespace's interfaces. */
function peersInside(namespaceFile: string): number[] {
  if (!isPinned(namespaceFile)) return [];
  return withinNamespaces({ net: namespaceFile }, () => {
    using inside = LinkTable.open();
    return inside.list().flatMap(({ peerIndex }) => (peerIndex === undefined ? [] : [peerIndex]));
  });
}
