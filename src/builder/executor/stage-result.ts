import type { Digest, HistoryEntry } from '../../api/mod.ts';

/** What one step left: a layer, or none when it changed nothing. */
export interface StepResult {
  readonly layer: Digest | undefined;
  /** RFC 3339. */
  readonly createdAt: string;
}

/** A stage that is built. */
export interface StageResult {
  /** Bottom first. */
  readonly layers: readonly Digest[];
  readonly history: readonly HistoryEntry[];
  /** RFC 3339, of the newest layer. */
  readonly created: string | undefined;
}
