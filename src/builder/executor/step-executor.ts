import type { Digest } from '../../api/mod.ts';
import { isError, throwIfAborted } from '../../kernel/mod.ts';
import type { StepJournal } from '../cache/miss-reason.ts';
import type { Semaphore } from '../cache/semaphore.ts';
import type { SharedWork } from '../cache/shared-work.ts';
import type { StepCache, StepRecord } from '../cache/step-cache.ts';
import { stepKey, type StepInputs } from '../cache/step-inputs.ts';
import type { FileAction, Step } from '../plan/build-plan.ts';
import type { BuildRuntime, BuildTree } from '../ports.ts';
import { type CopyServices, prepareCopy } from './copy-action.ts';
import { folderInputs, performFolder } from './folder-action.ts';
import { performRun, runInputs, type RunServices } from './run-action.ts';

/** What all builds of an instance share. */
export interface SharedServices {
  readonly runtime: BuildRuntime;
  readonly cache: StepCache;
  readonly journal: StepJournal;
  readonly flights: SharedWork<StepRecord>;
  readonly slots: Semaphore;
  readonly now: () => Date;
}

export interface StepServices extends SharedServices {
  readonly run: RunServices;
  readonly copy: CopyServices;
  readonly usesCache: boolean;
  readonly sourceDateEpoch: number | undefined;
  /** Steps of one scope are not reused in another. */
  readonly scope: string;
}

export interface StepOutcome {
  readonly record: StepRecord;
  readonly isCached: boolean;
  readonly missReason?: string;
}

interface PreparedStep {
  readonly inputs: StepInputs;
  /** A layer that does not depend on those below it. */
  readonly isDetached: boolean;
  perform(tree: BuildTree, signal: AbortSignal): Promise<void>;
}

/** Runs the file-changing part of one step over `layers`, or finds its result. `slot` names the step's place for explaining misses. */
export async function executeStep(step: Step, action: FileAction, layers: readonly Digest[], slot: string, services: StepServices, write: (text: string) => void, signal: AbortSignal): Promise<StepOutcome> {
  try {
    const prepared = await prepare(action, services, write, signal);
    const below = prepared.isDetached ? [] : layers;
    const inputs: StepInputs = [...prepared.inputs, ['scope', services.scope], ['source date epoch', String(services.sourceDateEpoch ?? '')]];
    const key = stepKey(below, inputs);
    const cached = services.usesCache ? await findCached(key, services) : undefined;
    if (cached !== undefined) return { record: cached, isCached: true };
    const missReason = services.usesCache ? await services.journal.explain(slot, key, below, inputs) : 'the cache is off';
    const record = await services.flights.run(key, (flightSignal) => build(key, below, prepared, services, flightSignal), signal);
    await services.journal.record(slot, key, below, inputs);
    return { record, isCached: false, missReason };
  } catch (error) {
    throwIfAborted(signal);
    if (isError(error, 'invalid', 'not-found', 'unsupported', 'unavailable') && error.places.length === 0) {
      const places = [step.source.place(step.position, error.message)];
      throw Object.assign(step.source.error(places, error.code, error), { details: error.details });
    }
    throw error;
  }
}

async function prepare(action: FileAction, services: StepServices, write: (text: string) => void, signal: AbortSignal): Promise<PreparedStep> {
  switch (action.kind) {
    case 'run':
      return {
        inputs: await runInputs(action, services.run, signal),
        isDetached: false,
        perform: async (tree, performSignal) => {
          const slot = await services.slots.acquire(performSignal);
          try {
            await performRun(action, tree, services.run, write, performSignal);
          } finally {
            slot[Symbol.dispose]();
          }
        },
      };
    case 'copy': {
      const prepared = await prepareCopy(action, services.copy, signal);
      return { inputs: prepared.inputs, isDetached: action.isLink && !needsTree(action.owner), perform: (tree, performSignal) => prepared.perform(tree, performSignal) };
    }
    case 'folder':
      return { inputs: folderInputs(action), isDetached: false, perform: async (tree) => performFolder(action, tree, services.sourceDateEpoch) };
  }
}

/** Names of users are looked up in the image; numbers are not. */
function needsTree(owner: string | undefined): boolean {
  return owner !== undefined && !/^\d+(?::\d*)?$/.test(owner);
}

async function findCached(key: string, { cache, runtime }: SharedServices): Promise<StepRecord | undefined> {
  const record = await cache.get(key);
  if (record === undefined || record.layer === undefined || runtime.hasLayer(record.layer)) return record;
  return undefined;
}

async function build(key: string, layers: readonly Digest[], step: PreparedStep, services: StepServices, signal: AbortSignal): Promise<StepRecord> {
  await using tree = await services.runtime.openTree(layers, signal);
  await step.perform(tree, signal);
  const { sourceDateEpoch } = services;
  const layer = await tree.commit(sourceDateEpoch === undefined ? {} : { latestModification: sourceDateEpoch }, signal);
  const record: StepRecord = { layer: layer?.diffId, sizeBytes: layer?.sizeBytes ?? 0, createdAt: services.now().toISOString() };
  await services.cache.set(key, record);
  return record;
}
