import type { Digest } from '../../api/mod.ts';
import { isError, throwIfAborted } from '../../kernel/mod.ts';
import type { CacheAccess } from '../cache/cache-access.ts';
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
  /** Whether the step looks for its result before it runs. */
  readonly usesCache: boolean;
  /** Stages whose steps all run. */
  readonly noCacheStages: ReadonlySet<string>;
  readonly sourceDateEpoch: number | undefined;
  readonly access: CacheAccess;
  /** Work that this build began and that uses its trees and folders, while it goes on. */
  readonly owned: Set<Promise<unknown>>;
}

/** Where a step stands. */
export interface StepPlace {
  readonly layers: readonly Digest[];
  /** Names the place over builds, for explaining misses. */
  readonly slot: string;
  /** What `layers` come from, in the words of an explanation: `step 3`. */
  readonly below: string;
}

export interface StepOutcome {
  readonly key: string;
  readonly record: StepRecord;
  readonly isCached: boolean;
  readonly missReason?: string;
}

interface PreparedStep {
  readonly inputs: StepInputs;
  /** A layer that does not depend on those below it. */
  readonly isDetached: boolean;
  perform(tree: BuildTree, write: (text: string) => void, signal: AbortSignal): Promise<void>;
}

/** Runs the file-changing part of one step over the layers of its place, or finds its result. */
export async function executeStep(step: Step, action: FileAction, { layers, slot, below }: StepPlace, services: StepServices, write: (text: string) => void, signal: AbortSignal): Promise<StepOutcome> {
  try {
    const prepared = await prepare(action, services, signal);
    const base = prepared.isDetached ? [] : layers;
    const inputs: StepInputs = [...prepared.inputs, ['source date epoch', String(services.sourceDateEpoch ?? '')]];
    const key = stepKey(base, inputs);
    const cached = services.usesCache ? await findCached(key, services) : undefined;
    if (cached?.record !== undefined) return { key, record: cached.record, isCached: true };
    const missReason = !services.usesCache ? 'the cache is off' : (cached?.lost ?? (await services.journal.explain(slot, { key, layers: base, inputs, below })));
    const record = await services.flights.run(flightKey(key, services), (emit, flightSignal) => build(key, base, prepared, services, emit, flightSignal), { onOutput: write, owned: services.owned }, signal);
    await services.journal.record(slot, key, base, inputs);
    return { key, record, isCached: false, missReason };
  } catch (error) {
    throwIfAborted(signal);
    if (isError(error, 'invalid', 'not-found', 'unsupported', 'unavailable') && error.places.length === 0) {
      const places = [step.source.place(step.position, error.message)];
      throw Object.assign(step.source.error(places, error.code, error), { details: error.details });
    }
    throw error;
  }
}

/** A build may join work of a scope that it reads, and begins work in its own. */
function flightKey(key: string, { flights, access, usesCache }: StepServices): string {
  const keys = [access.scope, ...access.readable].map((scope) => `${scope}\0${key}`);
  return (usesCache ? keys.find((candidate) => flights.has(candidate)) : undefined) ?? keys[0] ?? key;
}

async function prepare(action: FileAction, services: StepServices, signal: AbortSignal): Promise<PreparedStep> {
  switch (action.kind) {
    case 'run':
      return {
        inputs: await runInputs(action, services.run, signal),
        isDetached: false,
        perform: async (tree, write, performSignal) => {
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
      return { inputs: prepared.inputs, isDetached: action.isLink && !needsTree(action.owner), perform: (tree, _write, performSignal) => prepared.perform(tree, performSignal) };
    }
    case 'folder':
      return { inputs: folderInputs(action), isDetached: false, perform: async (tree) => performFolder(action, tree, services.sourceDateEpoch) };
  }
}

/** Names of users are looked up in the image; numbers are not. */
function needsTree(owner: string | undefined): boolean {
  return owner !== undefined && !/^\d+(?::\d*)?$/.test(owner);
}

async function findCached(key: string, { cache, runtime, access }: StepServices): Promise<{ record?: StepRecord; lost?: string } | undefined> {
  const record = await cache.get(key, access);
  if (record === undefined) return undefined;
  return record.layer === undefined || runtime.hasLayer(record.layer) ? { record } : { lost: 'its layer is no longer in the image store' };
}

async function build(key: string, layers: readonly Digest[], step: PreparedStep, services: StepServices, write: (text: string) => void, signal: AbortSignal): Promise<StepRecord> {
  const startedAt = performance.now();
  await using tree = await services.runtime.openTree(layers, signal);
  await step.perform(tree, write, signal);
  const { sourceDateEpoch } = services;
  const layer = await tree.commit(sourceDateEpoch === undefined ? {} : { latestModification: sourceDateEpoch }, signal);
  const record: StepRecord = { layer: layer?.diffId, sizeBytes: layer?.sizeBytes ?? 0, createdAt: services.now().toISOString(), durationMs: Math.round(performance.now() - startedAt) };
  await services.cache.set(key, services.access, record);
  return record;
}
