/** What the scripts that kill things for as long as one likes have in common. */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';

export interface FaultRun {
  readonly seed: number;
  readonly rounds: number;
  readonly report: (line: string) => void;
}

/** Reads `[--rounds N] [--seed S]`, runs, and prints what `run` resolves to. SIGINT and SIGTERM abort its signal. Arguments that are wrong end the process with 64. */
export async function faultRun(name: string, defaultRounds: number, run: (options: FaultRun, signal: AbortSignal) => Promise<string>): Promise<void> {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: String(defaultRounds) }, seed: { type: 'string' } } });
  const rounds = Number(values.rounds);
  const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
  if (!Number.isSafeInteger(rounds) || rounds < 1 || !Number.isSafeInteger(seed)) {
    console.error(`${name}: --rounds and --seed take whole numbers`);
    process.exit(64);
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  console.log(`seed ${seed}, ${rounds} rounds`);
  console.log(await run({ seed, rounds, report: console.log }, stop.signal));
}
