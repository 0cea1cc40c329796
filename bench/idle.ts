import { readFile } from 'node:fs/promises';
import { systemClock } from '../src/kernel/mod.ts';
import { type Instance, residentBytes } from '../test/story/instance.ts';

const windowMs = 30_000;

/** Memory and CPU of an instance that nobody asks anything, over half a minute. */
export async function benchIdle(instance: Instance, signal: AbortSignal): Promise<void> {
  const processes = Object.entries(await instance.processes(signal));
  await systemClock.sleep(10_000, signal);
  const before = await Promise.all(processes.map(([, pid]) => cpuMs(pid)));
  await systemClock.sleep(windowMs, signal);
  const after = await Promise.all(processes.map(([, pid]) => cpuMs(pid)));
  const sizes = await Promise.all(processes.map(([, pid]) => residentBytes(pid)));
  console.log('\nidle, over 30 s');
  for (const [index, [name]] of processes.entries()) {
    console.log(`  ${name.padEnd(22)} ${mib(sizes[index])} MiB   ${share((after[index] ?? 0) - (before[index] ?? 0))} of one core`);
  }
  const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
  console.log(`  ${'together'.padEnd(22)} ${mib(total(sizes))} MiB   ${share(total(after) - total(before))} of one core`);
}

/** User and system time of a process (proc(5), /proc/pid/stat fields 14 and 15, 100 ticks a second). */
async function cpuMs(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function mib(bytes = 0): string {
  return (bytes / (1 << 20)).toFixed(0).padStart(5);
}

function share(ms: number): string {
  return `${((ms / windowMs) * 100).toFixed(2)} %`;
}
