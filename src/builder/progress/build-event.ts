import type { Digest } from '../../api/mod.ts';
import type { ErrorPlace } from '../../kernel/mod.ts';

/** What happens during a build. Steps of different stages interleave; `stage` tells them apart. */
export type BuildEvent =
  | { readonly kind: 'warning'; readonly place: ErrorPlace }
  | { readonly kind: 'stage-started'; readonly stage: number }
  | { readonly kind: 'step-started'; readonly stage: number; readonly number: number; readonly count: number; readonly text: string }
  | { readonly kind: 'output'; readonly stage: number; readonly text: string }
  | { readonly kind: 'step-finished'; readonly stage: number; readonly number: number; readonly isCached: boolean; readonly missReason?: string; readonly id: string; readonly durationMs: number }
  | { readonly kind: 'stage-finished'; readonly stage: number }
  | { readonly kind: 'stage-failed'; readonly stage: number }
  | { readonly kind: 'finished'; readonly imageId: Digest; readonly tags: readonly string[] };

export type BuildListener = (event: BuildEvent) => void;
