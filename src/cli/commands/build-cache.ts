import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { locateInstance } from '../../server/mod.ts';
import { AgentClient } from '../agent-client.ts';
import { readEnvironment } from '../environment.ts';
import { interruptSignal } from '../interrupt.ts';
import { formatAge, formatTable, print, printJson } from '../output.ts';

interface CacheOptions { readonly dataDir?: string; readonly json?: boolean; readonly scope?: string }
interface CacheMount { id: string; scope: string; sizeBytes: number; usedAt: string; isInUse: boolean }

/** What the build cache holds, and the folders of cache mounts. */
export async function showBuildCache(options: CacheOptions): Promise<void> {
  const usage = (await (await agentOf(options)).json('GET', '/builder/cache', undefined, interruptSignal())) as { records: number; layerBytes: number; mounts: CacheMount[] };
  if (options.json === true) return printJson(usage);
  print(`${usage.records} results of steps, ${megabytes(usage.layerBytes)} of layers`);
  print(formatTable(['CACHE MOUNT', 'SCOPE', 'SIZE', 'USED', 'BUSY'], usage.mounts.map(({ id, scope, sizeBytes, usedAt, isInUse }) => [id, scope === '' ? 'trusted' : scope, megabytes(sizeBytes), formatAge(usedAt), isInUse ? 'yes' : ''])));
}

/** Forgets results of steps and removes cache mounts that no build uses. */
export async function pruneBuildCache(options: CacheOptions): Promise<void> {
  const { records, mountBytes } = (await (await agentOf(options)).json('POST', '/builder/cache/prune', undefined, interruptSignal())) as { records: number; mountBytes: number };
  print(`forgot ${records} results of steps, removed ${megabytes(mountBytes)} of cache mounts`);
}

/** Writes a cache mount to a tar file, or to standard output. */
export async function exportCacheMount(id: string, file: string, options: CacheOptions): Promise<void> {
  const signal = interruptSignal();
  const tar = await (await agentOf(options)).ask('GET', mountPath(id, options), undefined, signal);
  await pipeline(tar, file === '-' ? process.stdout : createWriteStream(file), { signal });
}

/** Makes a cache mount of a tar file; what it had before goes. */
export async function importCacheMount(id: string, file: string, options: CacheOptions): Promise<void> {
  await (await agentOf(options)).json('PUT', mountPath(id, options), file === '-' ? process.stdin : createReadStream(file), interruptSignal());
}

function mountPath(id: string, { scope = '' }: CacheOptions): string {
  return `/builder/mounts/${encodeURIComponent(id)}?scope=${encodeURIComponent(scope)}`;
}

async function agentOf(options: CacheOptions): Promise<AgentClient> {
  const { paths } = await locateInstance(options.dataDir ?? readEnvironment().dataDir);
  return new AgentClient(paths.agentSocket);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
