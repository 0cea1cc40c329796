import { keyOf, type k8s } from '../../../api/mod.ts';
import type { Job, Pod } from './observed.ts';

/** What a failed pod means for its Job. */
export type FailureVerdict = { action: 'Count' | 'Ignore' | 'FailIndex' } | { action: 'FailJob'; message: string };

/** The first rule that matches decides; without one the failure counts. */
export function judgeFailure(job: Job, pod: Pod): FailureVerdict {
  for (const [index, rule] of (job.spec.podFailurePolicy?.rules ?? []).entries()) {
    const because = matchRule(rule, pod);
    if (because === undefined) continue;
    if (rule.action === 'FailJob') return { action: 'FailJob', message: `${because} matching FailJob rule at index ${index}` };
    return { action: rule.action === 'Ignore' || rule.action === 'FailIndex' ? rule.action : 'Count' };
  }
  return { action: 'Count' };
}

function matchRule({ onExitCodes, onPodConditions }: k8s.PodFailurePolicyRule, pod: Pod): string | undefined {
  if (onExitCodes !== undefined) {
    const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
    for (const { name, state } of statuses) {
      if (onExitCodes.containerName !== undefined && onExitCodes.containerName !== name) continue;
      const code = state?.terminated?.exitCode;
      if (code === undefined || code === 0) continue;
      if (onExitCodes.values.includes(code) === (onExitCodes.operator === 'In')) return `Container ${name} for pod ${keyOf(pod)} failed with exit code ${code}`;
    }
    return undefined;
  }
  for (const pattern of onPodConditions ?? []) {
    const found = pod.status?.conditions?.find(({ type, status }) => type === pattern.type && status === (pattern.status ?? 'True'));
    if (found !== undefined) return `Pod ${keyOf(pod)} has condition ${found.type}`;
  }
  return undefined;
}
