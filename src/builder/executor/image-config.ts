import type { HistoryEntry, ImageConfig } from '../../api/mod.ts';
import type { BuildPlan, StagePlan } from '../plan/build-plan.ts';
import type { StageResult, StepResult } from './stage-result.ts';

/** What readers of history recognise entries of the current Dockerfile front ends by. */
const historyComment = 'buildkit.dockerfile.v0';

/** A stage's history and layers: its base's and one entry for each step; a step without a layer carries the time of the one before. */
export function stageResult(plan: StagePlan, base: StageResult, steps: readonly StepResult[], sourceDateEpoch: number | undefined): StageResult {
  const history = [...base.history];
  const layers = [...base.layers];
  let created = base.created;
  for (const [index, step] of plan.steps.entries()) {
    const result = steps[index];
    if (result?.layer !== undefined) {
      layers.push(result.layer);
      created = limited(result.createdAt, sourceDateEpoch);
    }
    if (step.isHidden) continue;
    const entry: HistoryEntry = { ...(created === undefined ? {} : { created }), created_by: step.createdBy, comment: historyComment };
    history.push(result?.layer === undefined ? { ...entry, empty_layer: true } : entry);
  }
  return { layers, history, created };
}

/** The image of a built stage. Keys are in a fixed order, so that equal builds have equal ids. */
export function imageConfig(plan: BuildPlan, stage: StagePlan, result: StageResult, now: () => Date): ImageConfig {
  const { config } = stage.state;
  const labels = { ...config.Labels, ...plan.labels };
  const created = result.created ?? epochTime(plan.sourceDateEpoch) ?? now().toISOString();
  const platform = stage.platform;
  return {
    created,
    ...(stage.state.author === undefined ? {} : { author: stage.state.author }),
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant === undefined ? {} : { variant: platform.variant }),
    config: { ...sorted(withoutEmpty(config)), ...(Object.keys(labels).length === 0 ? {} : { Labels: sorted(labels) }) },
    rootfs: { type: 'layers', diff_ids: [...result.layers] },
    history: result.history.map((entry) => (entry.created === undefined ? { created, ...entry } : entry)),
  };
}

/** Fields that are empty say nothing, and are not written. */
function withoutEmpty<T extends object>(value: T): T {
  const isEmpty = (field: unknown): boolean => field === '' || (typeof field === 'object' && field !== null && Object.keys(field).length === 0);
  return Object.fromEntries(Object.entries(value).filter(([, field]) => !isEmpty(field))) as T;
}

/** The time, but not after `sourceDateEpoch`. */
function limited(time: string, sourceDateEpoch: number | undefined): string {
  const limit = epochTime(sourceDateEpoch);
  return limit !== undefined && limit < time ? limit : time;
}

function epochTime(seconds: number | undefined): string | undefined {
  return seconds === undefined ? undefined : new Date(seconds * 1000).toISOString();
}

function sorted<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))) as T;
}
