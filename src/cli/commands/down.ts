import { locateInstance, purgeInstance, stopInstance } from '../../server/mod.ts';
import { readEnvironment } from '../environment.ts';
import { print } from '../output.ts';
import { type InstanceOptions, interruptSignal } from '../session.ts';

/** Stops an instance, also when its supervisor was killed; with `purge`, nothing of it is left. */
export async function down(options: InstanceOptions & { purge?: boolean }): Promise<void> {
  const signal = interruptSignal();
  const location = await locateInstance(options.dataDir ?? readEnvironment().dataDir);
  const stopped = await stopInstance(location, signal);
  if (options.purge === true) {
    await purgeInstance(location, signal);
    return print(`removed the instance in ${location.paths.dataDir}`);
  }
  print(stopped.length === 0 ? 'nothing was running' : `stopped ${stopped.join(', ')}; applications go on running ('gantry down --purge' removes them)`);
}
