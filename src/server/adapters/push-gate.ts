import type { PushedCommit, PushPipeline } from '../../ci/mod.ts';
import type { DeliveredPush } from '../../delivery/mod.ts';
import type { PushGate, RefUpdate } from '../../git/mod.ts';

/** Tells the pusher what becomes of a commit after its branch has moved. */
export type FollowDelivery = (push: DeliveredPush, write: (line: string) => void, signal: AbortSignal) => Promise<void>;

/** Lets ci decide over protected branches. What is not protected is tested as well, but nobody waits for it. */
export function pushGateOf(pipeline: PushPipeline, follow: FollowDelivery): PushGate {
  return {
    check: async (update, write, signal) => {
      const push = toPushedCommit(update);
      return push === undefined ? { isAccepted: true } : pipeline.check(push, write, signal);
    },
    accepted: async (update, write, signal) => {
      const push = toPushedCommit(update);
      if (push === undefined) return;
      if (!update.isProtected) return pipeline.start(push, write, signal);
      await follow(push, write, signal);
    },
  };
}

function toPushedCommit({ namespace, repository, ref, before, after, actor }: RefUpdate): PushedCommit | undefined {
  return after === undefined ? undefined : { namespace, repository, ref, before, commit: after, actor };
}
