import { GantryError, openLogger } from '../kernel/mod.ts';
import { ensureCredentials } from './credentials.ts';
import { openInstance, readInstance } from './instance.ts';
import { type InstanceLocation, makeInstanceFolders } from './location.ts';
import { RoleLock } from './lock.ts';
import type { Settings } from './settings.ts';

export interface ServerProcessOptions {
  readonly location: InstanceLocation;
  readonly flags: Settings;
  readonly configFile: string | undefined;
  /** The supervisor holds the instance's lock and has chosen ports already. */
  readonly isSupervised: boolean;
}

/** What a predecessor that was told to end may take before its successor gives up. */
const handOverMs = 15_000;

/** The server as the whole of a process: takes its lock, opens the instance (alone) or reads it (supervised), and serves. */
export async function runServerProcess(options: ServerProcessOptions, onReady: () => void, signal: AbortSignal): Promise<void> {
  const { location, isSupervised } = options;
  await makeInstanceFolders(location);
  await using locks = new AsyncDisposableStack();
  if (!isSupervised) locks.use(await RoleLock.acquire(location.id, location.paths.runDir, 'supervisor', 0, signal));
  locks.use(await RoleLock.acquire(location.id, location.paths.runDir, 'server', isSupervised ? handOverMs : 0, signal));
  const instance = isSupervised ? await readInstance(location) : await openInstance(location, options.flags, options.configFile, signal);
  const log = openLogger(instance.settings.logLevel ?? 'info', 'server');
  const { runServer } = await import('./server.ts');
  await runServer(instance, await ensureCredentials(instance), log, onReady, signal);
}

/** The agent as the whole of a process. `forbidden` without root, `not-found` when the instance was never opened. */
export async function runAgentProcess(location: InstanceLocation, onReady: () => void, signal: AbortSignal): Promise<void> {
  if (process.getuid?.() !== 0) throw new GantryError('forbidden', 'the node agent needs root');
  const instance = await readInstance(location);
  await using lock = await RoleLock.acquire(location.id, location.paths.runDir, 'agent', handOverMs, signal);
  void lock;
  const log = openLogger(instance.settings.logLevel ?? 'info', 'agent');
  const { runAgent } = await import('./agent.ts');
  await runAgent(instance, await ensureCredentials(instance), log, onReady, signal);
}
