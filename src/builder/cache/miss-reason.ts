import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readTextIfExists, shortHash, writeFileAtomic } from '../../kernel/mod.ts';
import type { StepInputs } from './step-inputs.ts';

const slotSchema = z.strictObject({ key: z.string(), layers: z.array(z.string()), inputs: z.array(z.tuple([z.string(), z.string()])) });

interface Explained {
  readonly key: string;
  readonly layers: readonly string[];
  readonly inputs: StepInputs;
  /** What the layers come from. */
  readonly below: string;
}

/** What a step was made of when it last ran at its place (stage and instruction of a Dockerfile), to tell why it runs again. */
export class StepJournal {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<StepJournal> {
    await mkdir(folder, { recursive: true });
    return new StepJournal(folder);
  }

  async record(slot: string, key: string, layers: readonly string[], inputs: StepInputs): Promise<void> {
    await writeFileAtomic(this.#path(slot), JSON.stringify({ key, layers, inputs }));
  }

  /** One sentence: what is not as it was. */
  async explain(slot: string, { key, layers, inputs, below }: Explained): Promise<string> {
    const text = await readTextIfExists(this.#path(slot));
    if (text === undefined) return 'this step has not been built here before';
    const parsed = slotSchema.safeParse(parseJson(text));
    if (!parsed.success) return 'this step has not been built here before';
    const { data } = parsed;
    if (data.key === key) return 'its result was removed to make room';
    const isSame = JSON.stringify(data.inputs) === JSON.stringify(inputs);
    const own = isSame ? '' : describeDifference(data.inputs, inputs);
    if (JSON.stringify(data.layers) === JSON.stringify(layers)) return isSame ? 'it is made in another way than before' : own;
    return `${below} has another result${isSame ? '' : `, and ${own}`}`;
  }

  #path(slot: string): string {
    return join(this.#folder, shortHash(slot, 40));
  }
}

/** Names what changed, was added or went, at most five parts. */
export function describeDifference(before: StepInputs, after: StepInputs): string {
  const [old, now] = [new Map(before), new Map(after)];
  const changes = [
    ...[...now].flatMap(([name, value]) => (!old.has(name) ? [`${name} is new`] : old.get(name) === value ? [] : [`${name} changed`])),
    ...[...old.keys()].filter((name) => !now.has(name)).map((name) => `${name} is gone`),
  ];
  if (changes.length === 0) return 'the order of its inputs changed';
  const shown = changes.slice(0, 5).join(', ');
  return changes.length > 5 ? `${shown} and ${changes.length - 5} more` : shown;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
