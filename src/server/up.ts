import { GantryError, openLogger } from '../kernel/mod.ts';
import { type ChildCommand, runChild } from './child-process.ts';
import { type InstanceLocation, makeInstanceFolders } from './location.ts';
import { RoleLock, roleHolder } from './lock.ts';
import { endProcess } from './stop-instance.ts';
import { type ChildRole, supervise } from './supervisor.ts';
import { join } from 'node:path';

export interface UpOptions {
  readonly location: InstanceLocation;
  /**
   * How to start this program in a role. `prepare` reads configuration and makes keys, in a process of its own: the supervisor
   * stays for months and should not keep in memory what is needed for a moment.
   */
  readonly command: (role: ChildRole | 'prepare') => Omit<ChildCommand, 'logFile'>;
}

const prepareGraceMs = 5000;

/** Runs server and agent of an instance until the signal aborts; `onReady` is called once both serve. `conflict` when it runs already. */
export async function runUp({ location, command }: UpOptions, onReady: () => void, signal: AbortSignal): Promise<void> {
  const { id, paths } = location;
  if (process.getuid?.() !== 0) throw new GantryError('forbidden', "the node agent needs root: run 'gantry up' as root, or 'gantry server' for a control plane without a node");
  await makeInstanceFolders(location);
  await using lock = await RoleLock.acquire(id, paths.runDir, 'supervisor', 0, signal);
  void lock;
  // Children of a supervisor that was killed are about to end by themselves; they hold the ports until they have.
  for (const role of ['server', 'agent'] as const) {
    const orphan = await roleHolder(paths.runDir, role);
    if (orphan !== undefined) await endProcess(orphan, signal);
  }
  const prepared = await runChild({ ...command('prepare'), logFile: join(paths.log, 'supervisor.log') }, prepareGraceMs, () => undefined, signal);
  if (!prepared.wasReady) throw new GantryError(prepared.failure?.code ?? 'internal', prepared.failure?.message ?? `the instance could not be prepared: ${prepared.reason}`);
  await supervise({ logFolder: paths.log, roles: ['server', 'agent'], command, log: openLogger('info', 'supervisor') }, onReady, signal);
}
