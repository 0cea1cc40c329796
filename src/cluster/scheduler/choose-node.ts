import type { NodeState, Pod } from './cluster-state.ts';
import type { Filter, NodeCheck, Surroundings } from './filters/filter.ts';
import { nodeAffinityFilter } from './filters/node-affinity.ts';
import { podAffinityFilter } from './filters/pod-affinity.ts';
import { portsFilter } from './filters/ports.ts';
import { resourcesFilter } from './filters/resources.ts';
import { taintsFilter } from './filters/taints.ts';
import { topologySpreadFilter } from './filters/topology-spread.ts';
import { volumesFilter } from './filters/volumes.ts';
import { defaultScores, type Score } from './scores.ts';

/** In the order of cost: the first that says no names the reason. */
export const defaultFilters: readonly Filter[] = [taintsFilter, nodeAffinityFilter, portsFilter, resourcesFilter, volumesFilter, podAffinityFilter, topologySpreadFilter];

/** Of many feasible nodes only so many are compared; more would cost time and hardly change the choice. */
const maxCompared = 100;

interface ChoiceOptions { readonly from?: number; readonly filters?: readonly Filter[]; readonly scores?: readonly Score[] }

export type Choice = { nodeName: string } | { reasons: ReadonlyMap<string, number> };

/** The best node for the pod, or how many nodes were refused for which reason. Looking starts at `from` and goes round. */
export function chooseNode(pod: Pod, nodes: readonly NodeState[], surroundings: Surroundings, { from = 0, filters = defaultFilters, scores = defaultScores }: ChoiceOptions = {}): Choice {
  const checks = filters.flatMap((filter) => filter.prepare(pod, nodes, surroundings) ?? []);
  const reasons = new Map<string, number>();
  const feasible: NodeState[] = [];
  for (let offset = 0; offset < nodes.length && feasible.length < maxCompared; offset += 1) {
    const node = nodes[(from + offset) % nodes.length];
    if (node === undefined) continue;
    const reason = firstReason(checks, node);
    if (reason === undefined) feasible.push(node);
    else reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const best = feasible.length > 1 ? bestOf(pod, feasible, surroundings, scores) : feasible[0];
  return best === undefined ? { reasons } : { nodeName: best.node.metadata.name };
}

function firstReason(checks: readonly NodeCheck[], node: NodeState): string | undefined {
  for (const check of checks) {
    const reason = check(node);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function bestOf(pod: Pod, nodes: readonly NodeState[], surroundings: Surroundings, scores: readonly Score[]): NodeState | undefined {
  const prepared = scores.flatMap((score) => {
    const rate = score.prepare(pod, nodes, surroundings);
    return rate === undefined ? [] : [(node: NodeState) => score.weight * rate(node)];
  });
  let best: { node: NodeState; points: number } | undefined;
  for (const node of nodes) {
    const points = prepared.reduce((sum, rate) => sum + rate(node), 0);
    if (best === undefined || points > best.points) best = { node, points };
  }
  return best?.node;
}

/** Why a pod has no node, in one sentence: `0/3 nodes are available: 2 Insufficient cpu, 1 node(s) …`. */
export function pendingSentence(nodeCount: number, reasons: ReadonlyMap<string, number>): string {
  if (nodeCount === 0) return 'no nodes available to schedule pods';
  const list = [...reasons].map(([reason, count]) => `${count} ${reason}`).toSorted();
  return `0/${nodeCount} nodes are available: ${list.join(', ')}.`;
}
