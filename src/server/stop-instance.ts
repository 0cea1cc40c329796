import { pollUntil } from '../kernel/mod.ts';
import type { InstanceLocation } from './location.ts';
import { type Role, roleHolder } from './lock.ts';
import { isAlive, type ProcessIdentity } from './process-identity.ts';

/** What a process may take to end after SIGTERM before it gets SIGKILL. */
const graceMs = 15_000;

/** Ends the instance's processes, the supervisor first so that it starts none again. Containers go on. Returns the roles that ran. */
export async function stopInstance(location: InstanceLocation, signal: AbortSignal): Promise<Role[]> {
  const order: readonly Role[] = ['supervisor', 'agent', 'server'];
  const running = (await Promise.all(order.map(async (role) => ({ role, holder: await roleHolder(location.paths.runDir, role) })))).filter(({ holder }) => holder !== undefined);
  for (const { holder } of running) if (holder !== undefined) await endProcess(holder, signal);
  return running.map(({ role }) => role);
}

/** SIGTERM, then SIGKILL after the grace period. The identity makes sure that no other process is hit. */
export async function endProcess(identity: ProcessIdentity, signal: AbortSignal): Promise<void> {
  if (!sendSignal(identity, 'SIGTERM')) return;
  const isGone = (): true | undefined => (isAlive(identity) ? undefined : true);
  try {
    await pollUntil(`process ${identity.pid} to end`, isGone, { timeoutMs: graceMs }, signal);
  } catch {
    sendSignal(identity, 'SIGKILL');
    await pollUntil(`process ${identity.pid} to be killed`, isGone, { timeoutMs: 5000 }, signal);
  }
}

function sendSignal(identity: ProcessIdentity, name: 'SIGTERM' | 'SIGKILL'): boolean {
  if (!isAlive(identity)) return false;
  try {
    return process.kill(identity.pid, name);
  } catch {
    return false;
  }
}
