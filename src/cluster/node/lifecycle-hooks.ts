import type { k8s } from '../../api/mod.ts';
import { type Clock, GantryError, withTimeout } from '../../kernel/mod.ts';
import type { ContainerRuntime } from './ports.ts';
import { type ProbeTarget, runHandler } from './probes/handlers.ts';

/** Runs a postStart or preStop hook to its end (Kubernetes, "Container hooks"). Fails when the hook fails or the time is over. */
export async function runHook(runtime: ContainerRuntime, target: ProbeTarget, hook: k8s.LifecycleHandler, clock: Clock, timeoutMs: number, signal: AbortSignal): Promise<void> {
  if (hook.sleep !== undefined) {
    await clock.sleep(hook.sleep.seconds * 1000, withTimeout(signal, Math.max(1, timeoutMs)));
    return;
  }
  const { isSuccess, message } = await runHandler(runtime, target, hook, Math.max(1, timeoutMs), signal);
  if (!isSuccess) throw new GantryError('internal', message === '' ? 'the hook failed' : message);
}
