import { readFileSync } from 'node:fs';
import type { ContainerRuntime } from '../ports.ts';

/** What `/stats` answers. Counters are decimal text: they may be larger than a JSON number can be. */
export interface StatsAnswer {
  readonly node: { readonly time: string; readonly cpuNanoseconds: string; readonly memoryBytes: number };
  readonly containers: readonly { readonly podUid: string; readonly namespace: string; readonly pod: string; readonly name: string; readonly time: string; readonly cpuNanoseconds: string; readonly workingSetBytes: number }[];
}

/** Reads the machine and every running pod container once. */
export async function readStats(runtime: ContainerRuntime, podOf: (podUid: string) => { namespace: string; name: string } | undefined, signal: AbortSignal): Promise<StatsAnswer> {
  const containers = await runtime.stats(signal);
  return {
    node: { time: new Date().toISOString(), ...readMachineUse(readFileSync('/proc/stat', 'utf8'), readFileSync('/proc/meminfo', 'utf8')) },
    containers: containers.flatMap(({ podUid, name, time, cpuNanoseconds, workingSetBytes }) => {
      const pod = podOf(podUid);
      return pod === undefined ? [] : [{ podUid, namespace: pod.namespace, pod: pod.name, name, time, cpuNanoseconds: String(cpuNanoseconds), workingSetBytes }];
    }),
  };
}

/** CPU time that was not idle (proc_stat(5)), and memory that is not available (proc_meminfo(5)). */
export function readMachineUse(stat: string, meminfo: string): { cpuNanoseconds: string; memoryBytes: number } {
  const [, user = 0n, nice = 0n, system = 0n, , , irq = 0n, softirq = 0n, steal = 0n] = (stat.split('\n')[0] ?? '').split(/\s+/).map((field) => (/^\d+$/.test(field) ? BigInt(field) : 0n));
  const kilobytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(meminfo)?.[1] ?? '0');
  // One tick is 10 ms on every Linux that Node runs on.
  return { cpuNanoseconds: String((user + nice + system + irq + softirq + steal) * 10_000_000n), memoryBytes: (kilobytes('MemTotal') - kilobytes('MemAvailable')) * 1024 };
}
