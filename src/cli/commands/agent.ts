import { locateInstance, runAgentProcess, runRole } from '../../server/mod.ts';
import { readEnvironment } from '../environment.ts';
import type { InstanceOptions } from '../session.ts';

/** Runs the node agent in this process until a signal, or its supervisor's end, stops it. */
export async function agent(options: InstanceOptions): Promise<void> {
  const location = await locateInstance(options.dataDir ?? readEnvironment().dataDir);
  await runRole((onReady, signal) => runAgentProcess(location, onReady, signal), { outlivesParent: false });
}
