import { aborted, type Logger } from '../kernel/mod.ts';
import type { Credentials } from './credentials.ts';
import type { Instance } from './instance.ts';

/** Composes and runs the agent. */
export async function runAgent(instance: Instance, credentials: Credentials, log: Logger, onReady: () => void, signal: AbortSignal): Promise<void> {
  log.info('agent started', { apiPort: instance.record.apiPort });
  void credentials;
  onReady();
  await aborted(signal);
}
