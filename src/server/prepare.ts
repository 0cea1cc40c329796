import { ensureCredentials } from './credentials.ts';
import { openInstance } from './instance.ts';
import type { InstanceLocation } from './location.ts';
import type { Settings } from './settings.ts';

/** What has to be done before the processes of an instance start: choose and record, keys, token, kubeconfig. */
export async function prepareInstance(location: InstanceLocation, flags: Settings, configFile: string | undefined, signal: AbortSignal): Promise<void> {
  await ensureCredentials(await openInstance(location, flags, configFile, signal));
}
