import type { k8s } from '../../api/mod.ts';

/** What is said of an object, before it has a time. */
export interface Verdict { readonly type: string; readonly status: 'True' | 'False'; readonly reason: string; readonly message: string }

/** It is so. */
export function holds(type: string, reason = type): Verdict {
  return { type, status: 'True', reason, message: '' };
}

/** It is not so, and why. */
export function fails(type: string, reason: string, message: string): Verdict {
  return { type, status: 'False', reason, message };
}

/** Verdicts as conditions: what did not change keeps its time. */
export function settle(before: readonly k8s.Condition[] | undefined, verdicts: readonly Verdict[], generation: number | undefined, now: string): k8s.Condition[] {
  return verdicts.map((verdict) => {
    const known = before?.find(({ type }) => type === verdict.type);
    const lastTransitionTime = known?.status === verdict.status ? known.lastTransitionTime : now;
    return { ...verdict, lastTransitionTime, ...(generation === undefined ? {} : { observedGeneration: generation }) };
  });
}
