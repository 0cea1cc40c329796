import { readdir, readFile } from 'node:fs/promises';

/** What processes cost: `pssBytes` counts pages that several share once in all, `rssBytes` once for each. */
export interface ProcessCosts { readonly count: number; readonly pssBytes: number; readonly rssBytes: number; readonly cpuMs: number }

/** The processes whose command line has the text, beside this one. */
export async function processesOf(text: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map(async (pid) => (pid !== process.pid && (await readText(`/proc/${pid}/cmdline`)).includes(text) ? [pid] : [])));
  return found.flat();
}

/** The sum over the processes; those that end meanwhile count nothing. */
export async function costsOf(pids: readonly number[]): Promise<ProcessCosts> {
  const each = await Promise.all(pids.map(costOf));
  const sum = (of: (costs: ProcessCosts) => number): number => each.reduce((total, costs) => total + of(costs), 0);
  return { count: sum(({ count }) => count), pssBytes: sum(({ pssBytes }) => pssBytes), rssBytes: sum(({ rssBytes }) => rssBytes), cpuMs: sum(({ cpuMs }) => cpuMs) };
}

/** proc(5): /proc/pid/smaps_rollup, and fields 14 and 15 of /proc/pid/stat in ticks of 10 ms. */
async function costOf(pid: number): Promise<ProcessCosts> {
  const [memory, stat] = await Promise.all([readText(`/proc/${pid}/smaps_rollup`), readText(`/proc/${pid}/stat`)]);
  if (memory === '' || stat === '') return { count: 0, pssBytes: 0, rssBytes: 0, cpuMs: 0 };
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(memory)?.[1] ?? 0) * 1024;
  const fields = stat.replace(/^.*\) /, '').split(' ');
  return { count: 1, pssBytes: kib('Pss'), rssBytes: kib('Rss'), cpuMs: (Number(fields[11]) + Number(fields[12])) * 10 };
}

function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').then((text) => text, () => '');
}
