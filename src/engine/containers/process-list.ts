import { GantryError, runCommand } from '../../kernel/mod.ts';

/** The processes as `ps` of the host shows them, like Docker's `top`. `invalid` for options without a PID column. */
export async function listProcesses(pids: readonly number[], psArgs: readonly string[], signal: AbortSignal): Promise<{ titles: string[]; processes: string[][] }> {
  const args = psArgs.length === 0 ? ['-ef'] : psArgs;
  const { stdout, stderr, code } = await runCommand('ps', args, { okCodes: [0, 1] }, signal);
  if (code !== 0) throw new GantryError('invalid', `ps: ${stderr.trim()}`);
  return parseProcessList(stdout, new Set(pids));
}

/** Lines of `ps` whose PID is wanted, cut into as many cells as there are titles; the last cell keeps its spaces. */
export function parseProcessList(text: string, pids: ReadonlySet<number>): { titles: string[]; processes: string[][] } {
  const [header = '', ...lines] = text.split('\n').filter((line) => line.trim() !== '');
  const titles = header.trim().split(/\s+/);
  const pidColumn = titles.indexOf('PID');
  if (pidColumn < 0) throw new GantryError('invalid', "Couldn't find PID field in ps output");
  const processes = lines.map((line) => cells(line, titles.length)).filter((row) => pids.has(Number(row[pidColumn])));
  return { titles, processes };
}

function cells(line: string, count: number): string[] {
  const parts = line.trim().split(/\s+/);
  return [...parts.slice(0, count - 1), parts.slice(count - 1).join(' ')];
}
