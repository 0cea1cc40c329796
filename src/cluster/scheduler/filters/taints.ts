import { isTaintTolerated, type k8s } from '../../../api/mod.ts';
import type { NodeState } from '../cluster-state.ts';
import type { Filter } from './filter.ts';

/** Taints with effect NoSchedule or NoExecute that the pod does not tolerate. */
export const taintsFilter: Filter = {
  name: 'taints',
  isHelpedByEviction: false,
  prepare: (pod) => (node) => {
    const taint = taintsOf(node).find(({ effect, key, value }) => effect !== 'PreferNoSchedule' && !isTaintTolerated(pod.spec?.tolerations, { effect, key, value }));
    return taint === undefined ? undefined : `node(s) had untolerated taint {${taint.key}${taint.value === undefined ? '' : `: ${taint.value}`}}`;
  },
};

/** The node's taints and those that follow from its state until the node controller has written them. */
export function taintsOf({ node }: NodeState): k8s.Taint[] {
  const taints = node.spec?.taints ?? [];
  const implied: k8s.Taint[] = [];
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  const has = (key: string): boolean => taints.some((taint) => taint.key === key);
  if (ready?.status !== 'True' && !has('node.kubernetes.io/not-ready') && !has('node.kubernetes.io/unreachable')) implied.push({ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' });
  if (node.spec?.unschedulable === true && !has('node.kubernetes.io/unschedulable')) implied.push({ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' });
  return [...taints, ...implied];
}
