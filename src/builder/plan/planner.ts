import type { Digest, ImageConfig } from '../../api/mod.ts';
import { type ErrorPlace, GantryError, isError } from '../../kernel/mod.ts';
import type { StageInstruction, Word } from '../dockerfile/instruction.ts';
import { type Dockerfile, parseTrigger, type Stage } from '../dockerfile/parse.ts';
import type { SourceFile } from '../dockerfile/source-file.ts';
import type { BuildPlan, FileSource, StageBase, StagePlan, Step } from './build-plan.ts';
import { Expander } from './expander.ts';
import { formatPlatform, globalArgs, predefinedArgs, type TargetPlatform } from './global-args.ts';
import { planInstruction } from './plan-instruction.ts';
import { findStage, findTarget, referredSources } from './stage-names.ts';
import { initialState, splitVariable } from './stage-state.ts';
import type { PlanningContext } from './step-planner.ts';

export interface PlanOptions {
  readonly target?: string;
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly network: 'default' | 'none' | 'host';
  readonly platform: TargetPlatform;
  /** Finds base images; `not-found` when there is none. */
  readonly resolveImage: (reference: string) => Promise<{ id: Digest; config: ImageConfig }>;
}

interface Draft {
  readonly stage: Stage;
  readonly base: StageBase;
  readonly platform: TargetPlatform;
  readonly instructions: readonly { instruction: StageInstruction; source: SourceFile }[];
  readonly sources: ReadonlyMap<string, FileSource>;
}

/**
 * Plans the stages that the target needs: base images are found (in parallel), variables expanded, and every instruction turned into a step.
 * Errors are `invalid`, `unsupported` or `not-found` with the place in the Dockerfile.
 */
export async function planBuild(dockerfile: Dockerfile, options: PlanOptions): Promise<BuildPlan> {
  const target = findTarget(dockerfile, options.target);
  if (target === undefined) throw new GantryError('invalid', `${dockerfile.source.name} has no stage ${JSON.stringify(options.target)} to build`);
  const planner = new Planner(dockerfile, options, target.from.name ?? 'default');
  const drafts = await planner.drafts(target);
  return planner.finish(drafts, target);
}

class Planner {
  readonly #dockerfile: Dockerfile;
  readonly #options: PlanOptions;
  readonly #globalArgs: ReadonlyMap<string, string>;
  readonly #drafts = new Map<number, Promise<Draft>>();
  readonly #images = new Map<string, Promise<{ id: Digest; config: ImageConfig }>>();

  constructor(dockerfile: Dockerfile, options: PlanOptions, targetName: string) {
    this.#dockerfile = dockerfile;
    this.#options = options;
    this.#globalArgs = globalArgs(dockerfile, options.platform, targetName, options.buildArgs);
  }

  /** The target and what it needs, in file order. */
  async drafts(target: Stage): Promise<Draft[]> {
    await this.#draft(target);
    // A failed draft fails the target's, so all of these are settled well.
    const drafts = await Promise.all(this.#drafts.values());
    return drafts.toSorted((a, b) => a.stage.index - b.stage.index);
  }

  finish(drafts: readonly Draft[], target: Stage): BuildPlan {
    const warnings: ErrorPlace[] = [...this.#dockerfile.warnings];
    const plans = new Map<number, StagePlan>();
    let number = 0;
    for (const draft of drafts) {
      number += 1;
      const plan = this.#planStage(draft, plans, number, warnings);
      number += plan.steps.length;
      plans.set(draft.stage.index, plan);
    }
    warnings.push(...this.#unusedArgs(drafts));
    const epoch = this.#options.buildArgs['SOURCE_DATE_EPOCH'];
    if (epoch !== undefined && epoch !== '' && !/^\d{1,15}$/.test(epoch)) throw new GantryError('invalid', `the build argument SOURCE_DATE_EPOCH is a number of seconds, not ${JSON.stringify(epoch)}`);
    return {
      stages: [...plans.values()],
      target: target.index,
      stepCount: number,
      labels: this.#options.labels,
      warnings,
      ...(epoch === undefined || epoch === '' ? {} : { sourceDateEpoch: Number(epoch) }),
    };
  }

  #draft(stage: Stage): Promise<Draft> {
    const known = this.#drafts.get(stage.index) ?? this.#openDraft(stage);
    this.#drafts.set(stage.index, known);
    return known;
  }

  async #openDraft(stage: Stage): Promise<Draft> {
    const expander = new Expander(this.#dockerfile.source, this.#dockerfile.escape, this.#globalArgs);
    const name = expander.word(stage.from.base);
    if (name === '') expander.fail(stage.from.base, `the base ${JSON.stringify(stage.from.base.text)} is empty; give the ARG before FROM a default`);
    const platform = this.#platform(stage, expander);
    const { base, triggers } = await this.#base(stage, name);
    const own = stage.instructions.map((instruction) => ({ instruction, source: this.#dockerfile.source }));
    const triggered = triggers.map((trigger) => parseTrigger(trigger, `ONBUILD of ${name}`));
    const instructions = [...triggered, ...own];
    const words = instructions.flatMap(({ instruction, source }) => referredSources(instruction).map((word) => ({ word, source })));
    const entries = await Promise.all(words.map(async ({ word, source }) => [word.text, await this.#source(stage, word, source)] as const));
    return { stage, base, platform, instructions, sources: new Map(entries) };
  }

  #platform({ from }: Stage, expander: Expander): TargetPlatform {
    const { platform } = this.#options;
    if (from.platform === undefined) return platform;
    const asked = expander.word(from.platform);
    if (asked === formatPlatform(platform) || asked === `${platform.os}/${platform.architecture}`) return platform;
    return expander.fail(from.platform, `--platform=${asked} is not supported: this machine builds for ${formatPlatform(platform)} only`, 'unsupported');
  }

  async #base(stage: Stage, name: string): Promise<{ base: StageBase; triggers: readonly string[] }> {
    if (name === 'scratch') return { base: { kind: 'scratch' }, triggers: [] };
    const found = findStage(this.#dockerfile, name, stage.index);
    if (found !== undefined && found !== 'later') {
      await this.#draft(found);
      const triggers = found.instructions.flatMap((instruction) => (instruction.kind === 'ONBUILD' ? [instruction.expression] : []));
      return { base: { kind: 'stage', stage: found.index }, triggers };
    }
    const image = await this.#image(name, stage.from.base, this.#dockerfile.source);
    return { base: { kind: 'image', reference: name, ...image }, triggers: image.config.config?.OnBuild ?? [] };
  }

  async #source(stage: Stage, word: Word, source: SourceFile): Promise<FileSource> {
    const found = findStage(this.#dockerfile, word.text, stage.index);
    if (found === 'later') throw source.errorAt(word.position, `the stage ${word.text} stands after this one; files can be taken only from earlier stages`);
    if (found !== undefined) {
      await this.#draft(found);
      return { kind: 'stage', stage: found.index };
    }
    if (/^\d+$/.test(word.text)) throw source.errorAt(word.position, `there is no stage ${word.text} before this one`);
    if (word.text === 'scratch') return { kind: 'image', reference: 'scratch', layers: [] };
    const image = await this.#image(word.text, word, source);
    return { kind: 'image', reference: word.text, layers: image.config.rootfs.diff_ids };
  }

  async #image(reference: string, word: Word, source: SourceFile): Promise<{ id: Digest; config: ImageConfig }> {
    const known = this.#images.get(reference) ?? this.#options.resolveImage(reference);
    this.#images.set(reference, known);
    try {
      return await known;
    } catch (error) {
      if (!isError(error, 'invalid', 'not-found')) throw error;
      throw source.errorAt(word.position, error.message, error.code === 'not-found' ? 'not-found' : 'invalid', error);
    }
  }

  #planStage(draft: Draft, plans: ReadonlyMap<number, StagePlan>, number: number, warnings: ErrorPlace[]): StagePlan {
    const { base, stage } = draft;
    const parent = base.kind === 'stage' ? plans.get(base.stage) : undefined;
    let state = parent === undefined ? initialState(base.kind === 'image' ? base.config : undefined) : inherit(parent.state);
    const steps: Step[] = [];
    for (const { instruction, source } of draft.instructions) {
      const context: PlanningContext = {
        source,
        expander: new Expander(source, this.#dockerfile.escape, state.variables),
        buildArgs: this.#options.buildArgs,
        globalArgs: this.#globalArgs,
        network: this.#options.network,
        sources: draft.sources,
        warn: (place) => warnings.push(place),
      };
      const planned = planInstruction(instruction, state, context);
      state = planned.state;
      steps.push({
        number: number + steps.length + 1,
        text: instruction.text,
        position: instruction.position,
        source,
        createdBy: planned.createdBy,
        ...(planned.action === undefined ? {} : { action: planned.action }),
        isHidden: planned.isHidden ?? false,
      });
    }
    const { from, index } = stage;
    return { index, name: from.name ?? `stage-${index}`, base, number, text: from.text, position: from.position, steps, state, platform: draft.platform };
  }

  /** Build arguments that no ARG of a planned stage takes: usually a typing error. */
  #unusedArgs(drafts: readonly Draft[]): ErrorPlace[] {
    const declared = new Set([...predefinedArgs, ...this.#globalArgs.keys(), 'SOURCE_DATE_EPOCH']);
    for (const instruction of [...this.#dockerfile.globalArgs, ...drafts.flatMap(({ instructions }) => instructions.map((entry) => entry.instruction))]) {
      if (instruction.kind === 'ARG') for (const { name } of instruction.args) declared.add(name.text);
    }
    const unused = Object.keys(this.#options.buildArgs).filter((name) => !declared.has(name) && !name.startsWith('BUILDKIT_'));
    return unused.length === 0 ? [] : [{ message: `One or more build-args [${unused.join(' ')}] were not consumed` }];
  }
}

/** A stage on a stage: variables and declared arguments go on, triggers do not. */
function inherit(parent: StagePlan['state']): StagePlan['state'] {
  const { OnBuild: _, ...config } = parent.config;
  const variables = new Map([...parent.variables, ...(config.Env ?? []).map(splitVariable)]);
  return { ...parent, config, variables, isCommandSet: false };
}
