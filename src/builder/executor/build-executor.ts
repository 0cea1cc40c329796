import type { Digest } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { StepRecord } from '../cache/step-cache.ts';
import type { BuildPlan, StagePlan } from '../plan/build-plan.ts';
import type { BuildListener } from '../progress/build-event.ts';
import { stageResult } from './image-config.ts';
import type { StageResult, StepResult } from './stage-result.ts';
import { executeStep, type StepServices } from './step-executor.ts';

/**
 * Runs a plan: every stage as soon as what it stands on is there, all others at the same time. The first failure stops the rest;
 * when `run` returns or throws, nothing of the build is running any more.
 */
export class BuildExecutor {
  readonly #plan: BuildPlan;
  readonly #services: StepServices;
  readonly #listener: BuildListener;
  /** Says where a step stands, for explaining cache misses: builds of the same Dockerfile share it. */
  readonly #slotPrefix: string;
  readonly #stages = new Map<number, Promise<StageResult>>();
  readonly #holds = new DisposableStack();
  readonly #records = new Map<number, Map<string, StepRecord>>();

  constructor(plan: BuildPlan, services: StepServices, listener: BuildListener, slotPrefix: string) {
    this.#plan = plan;
    this.#services = services;
    this.#listener = listener;
    this.#slotPrefix = slotPrefix;
  }

  /** The layers of a stage, once it is built. */
  async layersOf(stage: number): Promise<readonly Digest[]> {
    const running = this.#stages.get(stage);
    if (running === undefined) throw new GantryError('internal', `stage ${stage} is not part of the plan`);
    return (await running).layers;
  }

  /** Layers stay in the store until `release`. */
  async run(signal: AbortSignal): Promise<StageResult> {
    const failure = new AbortController();
    const either = AbortSignal.any([signal, failure.signal]);
    for (const stage of this.#plan.stages) {
      const running = this.#stage(stage, either);
      running.catch((error: unknown) => failure.abort(error));
      this.#stages.set(stage.index, running);
    }
    const settled = await Promise.allSettled(this.#stages.values());
    if (signal.aborted) throw signal.reason;
    if (failure.signal.aborted) throw failure.signal.reason;
    const target = settled[this.#plan.stages.findIndex(({ index }) => index === this.#plan.target)];
    if (target?.status !== 'fulfilled') throw new GantryError('internal', 'the target stage was not built');
    return target.value;
  }

  /** What the steps of one stage, or of all, left: by their keys, for taking it elsewhere. */
  recordsOf(stage?: number): Map<string, StepRecord> {
    const stages = stage === undefined ? [...this.#records.values()] : [this.#records.get(stage) ?? []];
    return new Map(stages.flatMap((records) => [...records]));
  }

  release(): void {
    this.#holds.dispose();
  }

  async #stage(stage: StagePlan, signal: AbortSignal): Promise<StageResult> {
    try {
      const base = await this.#base(stage);
      this.#listener({ kind: 'stage-started', stage: stage.index });
      this.#listener({ kind: 'step-started', stage: stage.index, number: stage.number, count: this.#plan.stepCount, text: stage.text });
      this.#listener({ kind: 'step-finished', stage: stage.index, number: stage.number, isCached: false, id: shortId(baseId(stage, base)), durationMs: 0 });
      const result = await this.#steps(stage, base, signal);
      this.#listener({ kind: 'stage-finished', stage: stage.index });
      return result;
    } catch (error) {
      if (!signal.aborted) this.#listener({ kind: 'stage-failed', stage: stage.index });
      throw error;
    }
  }

  async #base({ base }: StagePlan): Promise<StageResult> {
    if (base.kind === 'scratch') return { layers: [], history: [], created: undefined };
    // Stages stand in file order, so an earlier one is already running.
    if (base.kind === 'stage') return this.#stages.get(base.stage) ?? Promise.reject(new GantryError('internal', `stage ${base.stage} is not part of the plan`));
    const { config } = base;
    this.#holds.use(this.#services.runtime.holdLayers(config.rootfs.diff_ids));
    return { layers: config.rootfs.diff_ids, history: config.history ?? [], created: config.created };
  }

  async #steps(stage: StagePlan, base: StageResult, signal: AbortSignal): Promise<StageResult> {
    const layers = [...base.layers];
    const results: StepResult[] = [];
    let below = stage.base.kind === 'stage' ? `stage ${this.#plan.stages.find(({ index }) => stage.base.kind === 'stage' && index === stage.base.stage)?.name ?? ''}` : 'the base image';
    for (const [index, step] of stage.steps.entries()) {
      signal.throwIfAborted();
      const startedAt = performance.now();
      this.#listener({ kind: 'step-started', stage: stage.index, number: step.number, count: this.#plan.stepCount, text: step.text });
      let isCached = false;
      let missReason: string | undefined;
      if (step.action === undefined) results.push({ layer: undefined, createdAt: '' });
      else {
        const write = (text: string): void => this.#listener({ kind: 'output', stage: stage.index, text });
        const slot = `${this.#slotPrefix} ${stage.index} ${index}`;
        const services = { ...this.#services, usesCache: this.#services.usesCache && !this.#services.noCacheStages.has(stage.name) };
        const outcome = await executeStep(step, step.action, { layers, slot, below }, services, write, signal);
        ({ isCached, missReason } = outcome);
        this.#records.set(stage.index, (this.#records.get(stage.index) ?? new Map<string, StepRecord>()).set(outcome.key, outcome.record));
        const { layer, createdAt } = outcome.record;
        if (layer !== undefined) {
          below = `step ${step.number}`;
          layers.push(layer);
          this.#holds.use(this.#services.runtime.holdLayers([layer]));
        }
        results.push({ layer, createdAt });
      }
      const id = shortId(layers.at(-1) ?? 'sha256:');
      this.#listener({ kind: 'step-finished', stage: stage.index, number: step.number, isCached, ...(missReason === undefined ? {} : { missReason }), id, durationMs: performance.now() - startedAt });
    }
    return stageResult(stage, base, results, this.#plan.sourceDateEpoch);
  }
}

function baseId({ base }: StagePlan, result: StageResult): string {
  return base.kind === 'image' ? base.id : (result.layers.at(-1) ?? 'sha256:');
}

function shortId(digest: string): string {
  return digest.slice('sha256:'.length, 'sha256:'.length + 12) || 'scratch';
}
