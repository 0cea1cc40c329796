import { GantryError, openLogger } from '../kernel/mod.ts';
import type { ChildCommand } from './child-process.ts';
import { ensureCredentials } from './credentials.ts';
import { type Instance, type InstanceLocation, makeInstanceFolders, openInstance } from './instance.ts';
import { RoleLock, roleHolder } from './lock.ts';
import type { Settings } from './settings.ts';
import { endProcess } from './stop-instance.ts';
import { type ChildRole, supervise } from './supervisor.ts';

export interface UpOptions {
  readonly location: InstanceLocation;
  readonly flags: Settings;
  readonly configFile: string | undefined;
  /** How to start this program in a role. */
  readonly command: (role: ChildRole) => Omit<ChildCommand, 'logFile'>;
}

/** Runs server and agent of an instance until the signal aborts; `onReady` is called once both serve. `conflict` when it runs already. */
export async function runUp(options: UpOptions, onReady: (instance: Instance) => void, signal: AbortSignal): Promise<void> {
  const { location } = options;
  if (process.getuid?.() !== 0) throw new GantryError('forbidden', "the node agent needs root: run 'gantry up' as root, or 'gantry server' for a control plane without a node");
  await makeInstanceFolders(location);
  await using lock = await RoleLock.acquire(location.id, location.paths.runDir, 'supervisor', 0, signal);
  void lock;
  // Children of a supervisor that was killed are about to end by themselves; they hold the ports until they have.
  for (const role of ['server', 'agent'] as const) {
    const orphan = await roleHolder(location.paths.runDir, role);
    if (orphan !== undefined) await endProcess(orphan, signal);
  }
  const instance = await openInstance(location, options.flags, options.configFile, signal);
  await ensureCredentials(instance);
  const log = openLogger(instance.settings.logLevel ?? 'info', 'supervisor');
  await supervise({ instance, roles: ['server', 'agent'], command: options.command, log }, () => onReady(instance), signal);
}
