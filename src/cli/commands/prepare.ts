import { locateInstance, prepareInstance, runRole } from '../../server/mod.ts';
import { readEnvironment } from '../environment.ts';
import type { InstanceOptions } from '../session.ts';
import { settingsOf, type SettingFlags } from '../settings.ts';

/** Prepares the instance in a process of its own and tells the supervisor that started it. */
export async function prepare(options: InstanceOptions & SettingFlags): Promise<void> {
  await runRole(async (onReady, signal) => {
    const location = await locateInstance(options.dataDir ?? readEnvironment().dataDir);
    await prepareInstance(location, await settingsOf(options), options.config, signal);
    onReady();
  }, { outlivesParent: false });
}
