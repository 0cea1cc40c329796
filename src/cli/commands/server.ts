import { locateInstance, runRole, runServerProcess } from '../../server/mod.ts';
import { readEnvironment } from '../environment.ts';
import type { InstanceOptions } from '../session.ts';
import { settingsOf, type SettingFlags } from '../settings.ts';

/** Runs the server in this process until a signal, or its supervisor's end, stops it. */
export async function server(options: InstanceOptions & SettingFlags & { supervised?: boolean }): Promise<void> {
  const flags = await settingsOf(options);
  const location = await locateInstance(options.dataDir ?? readEnvironment().dataDir);
  await runRole((onReady, signal) => runServerProcess({ location, flags, configFile: options.config, isSupervised: options.supervised === true }, onReady, signal), { outlivesParent: false });
}
