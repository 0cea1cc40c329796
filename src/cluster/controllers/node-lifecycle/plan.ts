import { isDeepStrictEqual } from 'node:util';
import type { k8s, Stored } from '../../../api/mod.ts';
import type { Plan } from '../../../client/mod.ts';
import { findCondition, toTimestamp, withCondition } from '../conditions.ts';
import { isReady } from '../pods/readiness.ts';
import { evictionTimeMs } from './eviction-time.ts';

export interface ObservedNode {
  readonly node: Stored<k8s.Node>;
  readonly lease: k8s.Lease | undefined;
  readonly pods: readonly Stored<k8s.Pod>[];
  /** Whether another node is healthy. With none, the fault is more likely ours or the machine's, and moving pods helps nobody. */
  readonly hasHealthyPeer: boolean;
  readonly graceMs: number;
  /** When this controller began to look: silence before that says nothing. */
  readonly watchingSinceMs: number;
  readonly nowMs: number;
}

export type NodeAction =
  | { type: 'taint'; taints: k8s.Taint[] }
  | { type: 'mark-unready'; pods: Stored<k8s.Pod>[] }
  | { type: 'evict'; pod: Stored<k8s.Pod>; reason: string };

const notReadyTaint = 'node.kubernetes.io/not-ready';
const unreachableTaint = 'node.kubernetes.io/unreachable';
const pressureTaints: Readonly<Record<string, string>> = {
  MemoryPressure: 'node.kubernetes.io/memory-pressure',
  DiskPressure: 'node.kubernetes.io/disk-pressure',
  PIDPressure: 'node.kubernetes.io/pid-pressure',
  NetworkUnavailable: 'node.kubernetes.io/network-unavailable',
};
const unschedulableTaint = 'node.kubernetes.io/unschedulable';
const managedKeys = new Set([notReadyTaint, unreachableTaint, unschedulableTaint, ...Object.values(pressureTaints)]);

/** Notices silent nodes, keeps the taints that follow from conditions, and evicts pods that do not tolerate a NoExecute taint. */
export function planNode(observed: ObservedNode): Plan<NodeAction, k8s.NodeStatus> {
  const { node, nowMs } = observed;
  if (node.metadata.deletionTimestamp !== undefined) return { actions: [] };
  const silentInMs = lastSeenMs(observed) + observed.graceMs - nowMs;
  const conditions = silentInMs <= 0 ? unknownConditions(node, nowMs) : (node.status?.conditions ?? []);
  const taints = planTaints(observed, conditions);
  const actions: NodeAction[] = isDeepStrictEqual(taints, node.spec?.taints ?? []) ? [] : [{ type: 'taint', taints }];
  const isHealthy = findCondition(conditions, 'Ready')?.status === 'True';
  const ready = observed.pods.filter(isReady);
  if (!isHealthy && silentInMs <= 0 && observed.hasHealthyPeer && ready.length > 0) actions.push({ type: 'mark-unready', pods: ready });
  const waits = silentInMs > 0 ? [silentInMs] : [];
  for (const pod of observed.pods) {
    if (pod.metadata.deletionTimestamp !== undefined) continue;
    const due = evictionTimeMs(pod, taints, nowMs);
    if (due === undefined) continue;
    if (due.atMs <= nowMs) actions.push({ type: 'evict', pod, reason: `Taint manager: ${due.taint} on node ${node.metadata.name}` });
    else waits.push(due.atMs - nowMs);
  }
  // A node that reports writes its own status; ours would undo it.
  return { actions, ...(silentInMs <= 0 ? { status: { ...node.status, conditions } } : {}), ...(waits.length === 0 ? {} : { requeueAfterMs: Math.min(...waits) + 10 }) };
}

function lastSeenMs({ node, lease, watchingSinceMs }: ObservedNode): number {
  const heartbeat = findCondition(node.status?.conditions, 'Ready')?.lastHeartbeatTime;
  const times = [lease?.spec?.renewTime, heartbeat, node.metadata.creationTimestamp].map((time) => Date.parse(time ?? ''));
  return Math.max(watchingSinceMs, ...times.filter((time) => !Number.isNaN(time)));
}

function unknownConditions(node: Stored<k8s.Node>, nowMs: number): k8s.NodeCondition[] {
  return ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'].reduce((conditions: k8s.NodeCondition[], type) => {
    const before = findCondition(conditions, type);
    if (before?.status === 'Unknown') return conditions;
    const condition = { lastHeartbeatTime: before?.lastHeartbeatTime, type, status: 'Unknown', reason: before === undefined ? 'NodeStatusNeverUpdated' : 'NodeStatusUnknown', message: before === undefined ? 'Kubelet never posted node status.' : 'Kubelet stopped posting node status.' };
    return withCondition(conditions, condition, nowMs);
  }, node.status?.conditions ?? []);
}

function planTaints({ node, hasHealthyPeer, nowMs }: ObservedNode, conditions: readonly k8s.NodeCondition[]): k8s.Taint[] {
  const before = node.spec?.taints ?? [];
  const ready = findCondition(conditions, 'Ready')?.status ?? 'Unknown';
  const wanted: k8s.Taint[] = [];
  if (ready !== 'True') {
    const key = ready === 'False' ? notReadyTaint : unreachableTaint;
    wanted.push({ key, effect: 'NoSchedule' });
    if (hasHealthyPeer) wanted.push({ key, effect: 'NoExecute' });
  }
  for (const [type, key] of Object.entries(pressureTaints)) if (findCondition(conditions, type)?.status === 'True') wanted.push({ key, effect: 'NoSchedule' });
  if (node.spec?.unschedulable === true) wanted.push({ key: unschedulableTaint, effect: 'NoSchedule' });
  const managed = wanted.map((taint) => before.find(({ key, effect }) => key === taint.key && effect === taint.effect) ?? { ...taint, timeAdded: toTimestamp(nowMs) });
  const kept = before.filter((taint) => !managedKeys.has(taint.key) || managed.includes(taint));
  return [...kept, ...managed.filter((taint) => !kept.includes(taint))];
}
