import { createHash } from 'node:crypto';
import type { Digest } from '../../api/mod.ts';

/** What decides a step's result, as named parts: the key is their hash, and a miss is explained by the parts that differ. */
export type StepInputs = readonly (readonly [name: string, value: string])[];

/** Changed when the same inputs would give another result than before. */
const formatVersion = '3';

/** The cache key of a step over the layers below it. */
export function stepKey(layers: readonly Digest[], inputs: StepInputs): string {
  return createHash('sha256').update(JSON.stringify([formatVersion, layers, inputs])).digest('hex');
}
