import { locateInstance, purgeInstance, stopInstance } from '../../server/mod.ts';
import { AgentClient } from '../agent-client.ts';
import { readEnvironment } from '../environment.ts';
import { print } from '../output.ts';
import { type InstanceOptions, interruptSignal } from '../session.ts';

async function endPods(socketPath: string, grace: { graceSeconds: number; criticalGraceSeconds: number }, signal: AbortSignal): Promise<void> {
  const path = `/shutdown?grace=${grace.graceSeconds}&critical=${grace.criticalGraceSeconds}`;
  const answer = (await new AgentClient(socketPath).json('POST', path, undefined, signal)) as { pods: number };
  print(`ended ${answer.pods} ${answer.pods === 1 ? 'pod' : 'pods'}`);
}

/** Stops an instance, also when its supervisor was killed; with `purge`, nothing of it is left. */
export async function down(options: InstanceOptions & { purge?: boolean; graceful?: boolean; graceSeconds: number; criticalGraceSeconds: number }): Promise<void> {
  const signal = interruptSignal();
  const location = await locateInstance(options.dataDir ?? readEnvironment().dataDir);
  if (options.graceful === true) await endPods(location.paths.agentSocket, options, signal);
  const stopped = await stopInstance(location, signal);
  if (options.purge === true) {
    await purgeInstance(location, signal);
    return print(`removed the instance in ${location.paths.dataDir}`);
  }
  print(stopped.length === 0 ? 'nothing was running' : `stopped ${stopped.join(', ')}; ${options.graceful === true ? 'what ran in no pod goes' : 'applications go'} on running ('gantry down --purge' removes them)`);
}
