import type { ImageBuild, ImageBuildStatus, Stored } from '../../api/mod.ts';
import type { Plan } from '../../client/mod.ts';

/** Starts of one build by this node, after which a build that takes the agent down with it is given up. */
export const maxAttempts = 3;

/** What a node knows of one ImageBuild. */
export interface ObservedBuild {
  readonly key: string;
  readonly nodeName: string;
  /** Undefined: deleted. */
  readonly build: Stored<ImageBuild> | undefined;
  /** The uid of the build that this process is doing under that key. */
  readonly runningUid: string | undefined;
  /** How it ended, when it has and the status does not say so yet. */
  readonly outcome: ImageBuildStatus | undefined;
  /** Times this node has started it, over restarts. */
  readonly attempts: number;
  /** RFC 3339. */
  readonly now: string;
}

export type BuildAction =
  | { readonly kind: 'claim' }
  | { readonly kind: 'start' }
  /** Deleted or replaced while it ran. */
  | { readonly kind: 'stop' }
  /** Nothing of it is needed any more: log, attempts, outcome. */
  | { readonly kind: 'forget' };

/**
 * Decides what a node does about a build: takes it when nobody has, runs it when it is this node's, reports how it ended.
 * A build that was running when the agent died is started again: what it had finished is in the cache.
 */
export function planImageBuild({ build, runningUid, outcome, nodeName, attempts, now }: ObservedBuild): Plan<BuildAction, ImageBuildStatus> {
  if (build === undefined) return { actions: runningUid === undefined ? [{ kind: 'forget' }] : [{ kind: 'stop' }, { kind: 'forget' }] };
  const { phase } = build.status ?? {};
  if (runningUid !== undefined && runningUid !== build.metadata.uid) return { actions: [{ kind: 'stop' }], requeueAfterMs: 0 };
  if (phase === 'Succeeded' || phase === 'Failed') return { actions: [] };
  if (build.spec?.nodeName === undefined) return { actions: [{ kind: 'claim' }] };
  if (build.spec.nodeName !== nodeName) return { actions: [] };
  if (outcome !== undefined) return { actions: [], status: outcome };
  const startedAt = build.status?.startedAt ?? now;
  if (runningUid !== undefined) return phase === 'Running' ? { actions: [] } : { actions: [], status: { phase: 'Running', startedAt } };
  if (attempts >= maxAttempts) {
    return { actions: [], status: { phase: 'Failed', startedAt, finishedAt: now, message: `the node agent was stopped ${attempts} times while it built this image` } };
  }
  return { actions: [{ kind: 'start' }], status: { phase: 'Running', startedAt } };
}
