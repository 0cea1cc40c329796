import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Service, systemClock } from '../kernel/mod.ts';

const periodMs = 60_000;
/** Below this share of one core the process counts as idle. */
const idleShare = 0.02;
/** Growth that makes a collection worth its tens of milliseconds. */
const worthBytes = 8 << 20;

/**
 * Gives memory back when there is nothing to do. V8 collects when it allocates: after a burst of work an idle process would keep
 * its largest heap for hours.
 */
export class IdleCollector implements Service {
  readonly name = 'idle collector';

  async run(signal: AbortSignal): Promise<void> {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;
    let [usage, restingBytes] = [process.cpuUsage(), 0];
    while (!signal.aborted) {
      await systemClock.sleep(periodMs, signal).catch(() => undefined);
      const { user, system } = process.cpuUsage(usage);
      usage = process.cpuUsage();
      const isIdle = (user + system) / 1000 / periodMs < idleShare;
      if (signal.aborted || !isIdle || process.memoryUsage.rss() < restingBytes + worthBytes) continue;
      collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
      restingBytes = process.memoryUsage.rss();
    }
  }
}
