import type { k8s } from '../../../api/mod.ts';
import { validateIntOrPercent } from './deployment.ts';
import type { Strategy } from './kind.ts';
import { validateSelector } from './pod-template.ts';

/** PodDisruptionBudgets. */
export const disruptionBudgetStrategy: Strategy<k8s.PodDisruptionBudget> = {
  validate({ spec }, errors) {
    if (spec === undefined) return;
    if (spec.minAvailable !== undefined && spec.maxUnavailable !== undefined) errors.invalid('spec', '', 'minAvailable and maxUnavailable cannot be both set');
    validateIntOrPercent(spec.minAvailable, 'spec.minAvailable', errors);
    validateIntOrPercent(spec.maxUnavailable, 'spec.maxUnavailable', errors);
    validateSelector(spec.selector, 'spec.selector', errors);
    const policies = ['AlwaysAllow', 'IfHealthyBudget'];
    if (spec.unhealthyPodEvictionPolicy !== undefined && !policies.includes(spec.unhealthyPodEvictionPolicy)) errors.unsupported('spec.unhealthyPodEvictionPolicy', spec.unhealthyPodEvictionPolicy, policies);
  },
};
