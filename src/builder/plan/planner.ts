import type { Digest, ImageConfig } from '../../api/mod.ts';
import { type ErrorPlace, GantryError, isError } from '../../kernel/mod.ts';
import type { StageInstruction, Word } from '../dockerfile/instruction.ts';
import { nearest } from '../dockerfile/nearest.ts';
import { type Dockerfile, parseTrigger, type Stage } from '../dockerfile/parse.ts';
import type { SourceFile } from '../dockerfile/source-file.ts';
import { IgnoreRules } from '../../context/mod.ts';
import { lintBases } from '../lint/base-rules.ts';
import { type CheckOptions, parseCheckOptions } from '../lint/check-options.ts';
import { Linter, type ReportLint } from '../lint/linter.ts';
import { lintStructure } from '../lint/structure-rules.ts';
import type { BuildPlan, FileSource, StageBase, StagePlan, Step } from './build-plan.ts';
import { contextStep } from './context-step.ts';
import type { Entitlement } from './entitlements.ts';
import { Expander } from './expander.ts';
import { formatPlatform, globalArgs, predefinedArgs, type TargetPlatform } from './global-args.ts';
import { type NamedContext, NamedContexts } from './named-contexts.ts';
import { planInstruction } from './plan-instruction.ts';
import { findStage, findTarget, referredSources } from './stage-names.ts';
import { initialState, splitVariable, type StageState } from './stage-state.ts';
import type { PlanningContext } from './step-planner.ts';

export interface PlanOptions {
  readonly target?: string;
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly network: 'default' | 'none' | 'host';
  readonly platform: TargetPlatform;
  /** Take the place of stages and images of their names. */
  readonly contexts?: ReadonlyMap<string, NamedContext>;
  /** What COPY does not see of the context. Default: nothing. */
  readonly ignore?: IgnoreRules;
  /** Default: nothing. */
  readonly allowed?: ReadonlySet<Entitlement>;
  /** Only to look for broken rules: stages nobody needs are planned too, and images that are not to be had are taken as empty. */
  readonly isCheck?: boolean;
  /** Finds base images; `not-found` when there is none. */
  readonly resolveImage: (reference: string) => Promise<{ id: Digest; config: ImageConfig }>;
}

interface Draft {
  readonly stage: Stage;
  readonly base: StageBase;
  /** The stage is a named context's folder. */
  readonly context?: string;
  /** False when nothing is known of the base image. */
  readonly isBaseKnown: boolean;
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
  readonly #contexts: NamedContexts;
  readonly #linter: Linter;
  readonly #drafts = new Map<number, Promise<Draft>>();
  readonly #images = new Map<string, Promise<{ id: Digest; config: ImageConfig } | undefined>>();

  constructor(dockerfile: Dockerfile, options: PlanOptions, targetName: string) {
    this.#dockerfile = dockerfile;
    this.#options = options;
    this.#globalArgs = globalArgs(dockerfile, options.platform, targetName, options.buildArgs);
    this.#contexts = new NamedContexts(options.contexts ?? new Map());
    this.#linter = new Linter(dockerfile.source, checkOptions(dockerfile, options.buildArgs));
    lintStructure(dockerfile, this.#linter);
    lintBases(dockerfile, { given: this.#globalArgs, defaults: globalArgs(dockerfile, options.platform, targetName, {}) }, this.#linter);
  }

  /** The target and what it needs, in file order. */
  async drafts(target: Stage): Promise<Draft[]> {
    if (this.#options.isCheck === true) for (const stage of this.#dockerfile.stages) await this.#draft(stage);
    await this.#draft(target);
    // A failed draft fails the target's, so all of these are settled well.
    const drafts = await Promise.all(this.#drafts.values());
    return drafts.toSorted((a, b) => a.stage.index - b.stage.index);
  }

  finish(drafts: readonly Draft[], target: Stage): BuildPlan {
    const plans = new Map<number, StagePlan>();
    const unknown = new Set<number>();
    let number = 0;
    for (const draft of drafts) {
      number += 1;
      if (!draft.isBaseKnown || (draft.base.kind === 'stage' && unknown.has(draft.base.stage))) unknown.add(draft.stage.index);
      const plan = this.#planStage(draft, plans, number, !unknown.has(draft.stage.index));
      number += plan.steps.length;
      plans.set(draft.stage.index, plan);
    }
    const { warnings } = this.#linter;
    if (this.#linter.isViolated) throw this.#dockerfile.source.error(warnings.map((place) => ({ ...place, message: `${place.reason ?? ''}: ${place.message}` })));
    const epoch = this.#options.buildArgs['SOURCE_DATE_EPOCH'] ?? this.#globalArgs.get('SOURCE_DATE_EPOCH');
    if (epoch !== undefined && epoch !== '' && !/^\d{1,15}$/.test(epoch)) throw new GantryError('invalid', `the build argument SOURCE_DATE_EPOCH is a number of seconds, not ${JSON.stringify(epoch)}`);
    return {
      stages: [...plans.values()],
      target: target.index,
      stepCount: number,
      labels: this.#options.labels,
      warnings: [...warnings, ...this.#unusedArgs(drafts)],
      ...(epoch === undefined || epoch === '' ? {} : { sourceDateEpoch: Number(epoch) }),
    };
  }

  #draft(stage: Stage): Promise<Draft> {
    const known = this.#drafts.get(stage.index) ?? this.#openDraft(stage);
    this.#drafts.set(stage.index, known);
    return known;
  }

  async #openDraft(stage: Stage): Promise<Draft> {
    const { source, escape } = this.#dockerfile;
    const expander = new Expander(source, escape, this.#globalArgs);
    const replacement = stage.from.name === undefined ? undefined : this.#contexts.find(stage.from.name);
    if (replacement !== undefined) return this.#contextDraft(stage, replacement);
    const name = expander.word(stage.from.base);
    if (name === '') expander.fail(stage.from.base, `the base ${JSON.stringify(stage.from.base.text)} is empty; give the ARG before FROM a default`);
    const platform = this.#platform(stage, expander);
    const { triggers, ...base } = await this.#base(stage, name);
    const own = stage.instructions.map((instruction) => ({ instruction, source }));
    const triggered = triggers.map((trigger) => parseTrigger(trigger, `ONBUILD of ${name}`));
    const instructions = [...triggered, ...own];
    const words = instructions.flatMap(({ instruction, source: file }) => referredSources(instruction).map((word) => ({ word, file })));
    const entries = await Promise.all(words.map(async ({ word, file }) => [word.text, await this.#source(stage, word, file)] as const));
    return { stage, ...base, platform, instructions, sources: new Map(entries) };
  }

  /** A named context of the stage's name takes its place with all its instructions. */
  async #contextDraft(stage: Stage, { name, context }: { name: string; context: NamedContext }): Promise<Draft> {
    const rest = { stage, platform: this.#options.platform, instructions: [], sources: new Map() };
    if (context.kind === 'folder') return { ...rest, base: { kind: 'scratch' }, context: name, isBaseKnown: true };
    const image = await this.#image(context.reference, stage.from.alias?.name ?? stage.from.base, this.#dockerfile.source);
    return { ...rest, base: image === undefined ? { kind: 'scratch' } : { kind: 'image', reference: context.reference, ...image }, isBaseKnown: image !== undefined };
  }

  #platform({ from }: Stage, expander: Expander): TargetPlatform {
    const { platform } = this.#options;
    if (from.platform === undefined) return platform;
    const asked = expander.word(from.platform);
    if (asked === '') expander.fail(from.platform, `the platform ${JSON.stringify(from.platform.text)} is empty`);
    if (asked === formatPlatform(platform) || asked === `${platform.os}/${platform.architecture}` || asked === platform.architecture || this.#options.isCheck === true) return platform;
    return expander.fail(from.platform, `--platform=${asked} is not supported: this machine builds for ${formatPlatform(platform)} only`, 'unsupported');
  }

  async #base(stage: Stage, name: string): Promise<Pick<Draft, 'base' | 'context' | 'isBaseKnown'> & { triggers: readonly string[] }> {
    if (name === 'scratch') return { base: { kind: 'scratch' }, isBaseKnown: true, triggers: [] };
    const found = findStage(this.#dockerfile, name, stage.index);
    if (found !== undefined && found !== 'later') {
      await this.#draft(found);
      const isReplaced = found.from.name !== undefined && this.#contexts.find(found.from.name) !== undefined;
      const triggers = isReplaced ? [] : found.instructions.flatMap((instruction) => (instruction.kind === 'ONBUILD' ? [instruction.expression] : []));
      return { base: { kind: 'stage', stage: found.index }, isBaseKnown: true, triggers };
    }
    const named = this.#contexts.find(name);
    if (named?.context.kind === 'folder') return { base: { kind: 'scratch' }, context: named.name, isBaseKnown: true, triggers: [] };
    const image = await this.#image(named?.context.kind === 'image' ? named.context.reference : name, stage.from.base, this.#dockerfile.source);
    if (image === undefined) return { base: { kind: 'scratch' }, isBaseKnown: false, triggers: [] };
    this.#checkPlatform(stage, name, image.config);
    return { base: { kind: 'image', reference: name, ...image }, isBaseKnown: true, triggers: image.config.config?.OnBuild ?? [] };
  }

  #checkPlatform({ from }: Stage, name: string, { os, architecture }: ImageConfig): void {
    const { platform } = this.#options;
    if (os === platform.os && architecture === platform.architecture) return;
    const message = `Base image ${name} was pulled with platform "${os}/${architecture}", expected "${formatPlatform(platform)}" for current build`;
    this.#linter.reporter(from.comments)('InvalidBaseImagePlatform', from.base.position, message);
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
    const named = this.#contexts.find(word.text);
    if (named?.context.kind === 'folder') return { kind: 'context', name: named.name };
    const reference = named?.context.kind === 'image' ? named.context.reference : word.text;
    const image = await this.#image(reference, word, source);
    return { kind: 'image', reference, layers: image?.config.rootfs.diff_ids ?? [] };
  }

  /** Undefined only in a check: nobody has the image. */
  async #image(reference: string, word: Word, source: SourceFile): Promise<{ id: Digest; config: ImageConfig } | undefined> {
    const known = this.#images.get(reference) ?? this.#options.resolveImage(reference);
    this.#images.set(reference, known);
    try {
      return await known;
    } catch (error) {
      if (this.#options.isCheck === true && isError(error, 'not-found', 'unavailable', 'unauthenticated', 'forbidden', 'timeout', 'unsupported')) return undefined;
      if (!isError(error, 'invalid', 'not-found')) throw error;
      throw source.errorAt(word.position, error.message, error.code === 'not-found' ? 'not-found' : 'invalid', error);
    }
  }

  #planStage(draft: Draft, plans: ReadonlyMap<number, StagePlan>, number: number, isBaseKnown: boolean): StagePlan {
    const { base, stage } = draft;
    const { from, index } = stage;
    const parent = base.kind === 'stage' ? plans.get(base.stage) : undefined;
    let state = parent === undefined ? initialState(base.kind === 'image' ? base.config : undefined) : inherit(parent.state);
    const steps: Step[] = draft.context === undefined ? [] : [contextStep(draft.context, from, this.#dockerfile.source, number + 1)];
    for (const { instruction, source } of draft.instructions) {
      const lint = this.#linter.reporter(instruction.comments, source);
      const context: PlanningContext = {
        source,
        expander: new Expander(source, this.#dockerfile.escape, state.variables, reportUnset(state, isBaseKnown ? lint : () => undefined)),
        buildArgs: this.#options.buildArgs,
        globalArgs: this.#globalArgs,
        network: this.#options.network,
        sources: draft.sources,
        ignore: this.#options.ignore ?? IgnoreRules.none,
        allowed: this.#options.allowed ?? new Set(),
        lint,
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

/** The build argument wins over the directive. */
function checkOptions({ checkOptions: own }: Dockerfile, buildArgs: Readonly<Record<string, string>>): CheckOptions {
  const given = buildArgs['BUILDKIT_DOCKERFILE_CHECK'];
  if (given === undefined) return own;
  const options = parseCheckOptions(given);
  if ('message' in options) throw new GantryError('invalid', `BUILDKIT_DOCKERFILE_CHECK: ${options.message}`);
  return options;
}

/** Arguments that are declared without a value are no mistake. */
function reportUnset(state: StageState, lint: ReportLint): (word: Word, names: ReadonlySet<string>) => void {
  return (word, names) => {
    for (const name of names) {
      if (state.args.has(name)) continue;
      const guess = nearest(name, [...state.variables.keys()]);
      lint('UndefinedVar', word.position, `Usage of undefined variable '$${name}'${guess === undefined ? '' : ` (did you mean $${guess}?)`}`);
    }
  };
}

/** A stage on a stage: variables and declared arguments go on, triggers do not. */
function inherit(parent: StageState): StageState {
  const { OnBuild: _, ...config } = parent.config;
  const variables = new Map([...parent.variables, ...(config.Env ?? []).map(splitVariable)]);
  return { ...parent, config, variables, seen: new Map() };
}
