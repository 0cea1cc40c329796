import { isDeepStrictEqual } from 'node:util';
import { type k8s, keyOf, refOf, resources, type Stored } from '../../../api/mod.ts';
import { type Change, Controller, type Informer, type Plan, type Reconciler } from '../../../client/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import { findCondition, toTimestamp } from '../conditions.ts';
import type { ControllerSettings } from '../config.ts';
import type { ControllerContext } from '../context.ts';
import { writeStatus } from '../write-status.ts';
import { type NodeAction, type ObservedNode, planNode } from './plan.ts';

const kind = resources.nodes;
export const leaseNamespace = 'kube-node-lease';
const podIndex = 'pods-by-node';

/** Watches over the nodes' heartbeats. */
export function nodeLifecycleController(context: ControllerContext, settings: ControllerSettings): Controller<ObservedNode, NodeAction, k8s.NodeStatus> {
  const nodes = context.informers.of(kind);
  const leases = context.informers.of(resources.leases);
  const pods = context.informers.of(resources.pods).defineIndex(podIndex, ({ spec }) => (spec?.nodeName === undefined ? [] : [spec.nodeName]));
  const hasTaints = (name: string): boolean => (nodes.get(name)?.spec?.taints ?? []).some(({ effect }) => effect === 'NoExecute');
  return new Controller(new NodeReconciler(context, settings, { nodes, leases, pods }), { ...context.controllerOptions }, context.log)
    .watch(nodes, ({ metadata }) => [metadata.name], isNews)
    // A renewed lease changes nothing while all is well: the next look is already planned. It matters to a node that was lost.
    .watch(leases, ({ metadata }) => (metadata.namespace === leaseNamespace && !isHealthy(nodes.get(metadata.name)) ? [metadata.name] : []))
    .watch(pods, ({ spec }) => (spec?.nodeName !== undefined && hasTaints(spec.nodeName) ? [spec.nodeName] : []));
}

/** Heartbeats alone are none. */
function isNews(change: Change<k8s.Node>): boolean {
  if (change.type !== 'modified') return true;
  const relevant = ({ metadata, spec, status }: Stored<k8s.Node>): unknown => [metadata.deletionTimestamp, spec, status?.conditions?.map(({ type, status: value }) => [type, value])];
  return !isDeepStrictEqual(relevant(change.previous), relevant(change.object));
}

function isHealthy(node: k8s.Node | undefined): boolean {
  return findCondition(node?.status?.conditions, 'Ready')?.status === 'True';
}

interface Caches {
  readonly nodes: Informer<k8s.Node>;
  readonly leases: Informer<k8s.Lease>;
  readonly pods: Informer<k8s.Pod>;
}

class NodeReconciler implements Reconciler<ObservedNode, NodeAction, k8s.NodeStatus> {
  readonly name = 'node-lifecycle';
  readonly #context: ControllerContext;
  readonly #settings: ControllerSettings;
  readonly #caches: Caches;
  readonly #watchingSinceMs: number;

  constructor(context: ControllerContext, settings: ControllerSettings, caches: Caches) {
    this.#context = context;
    this.#settings = settings;
    this.#caches = caches;
    this.#watchingSinceMs = context.clock.now();
  }

  observe(name: string): ObservedNode | undefined {
    const node = this.#caches.nodes.get(name);
    if (node === undefined) return undefined;
    return {
      node,
      lease: this.#caches.leases.get(keyOf({ namespace: leaseNamespace, name })),
      pods: this.#caches.pods.indexed(podIndex, name),
      hasHealthyPeer: this.#caches.nodes.list().some((other) => other !== node && isHealthy(other)),
      graceMs: this.#settings.nodeMonitorGraceMs,
      watchingSinceMs: this.#watchingSinceMs,
      nowMs: this.#context.clock.now(),
    };
  }

  plan(observed: ObservedNode): Plan<NodeAction, k8s.NodeStatus> {
    return planNode(observed);
  }

  async act(action: NodeAction, { node, nowMs }: ObservedNode, signal: AbortSignal): Promise<void> {
    const { client, events } = this.#context;
    const { name, uid, resourceVersion } = node.metadata;
    switch (action.type) {
      case 'taint':
        await client.patch(kind, { name }, { type: 'merge', body: { metadata: { uid, resourceVersion }, spec: { taints: action.taints } } }, signal);
        return;
      case 'mark-unready':
        await Promise.all(action.pods.map((pod) => this.#markUnready(pod, nowMs, signal)));
        return;
      case 'evict':
        events.normal(action.pod, 'TaintManagerEviction', action.reason);
        return client.delete(resources.pods, refOf(keyOf(action.pod)), { preconditions: { uid: action.pod.metadata.uid } }, signal);
    }
  }

  async report(status: k8s.NodeStatus, { node }: ObservedNode, signal: AbortSignal): Promise<void> {
    const wasReady = isHealthy(node);
    await writeStatus(this.#context.client, kind, node, status, signal, { isGuarded: true });
    if (wasReady && findCondition(status.conditions, 'Ready')?.status !== 'True') this.#context.events.normal(node, 'NodeNotReady', `Node ${node.metadata.name} status is now: NodeNotReady`);
  }

  async #markUnready(pod: Stored<k8s.Pod>, nowMs: number, signal: AbortSignal): Promise<void> {
    const condition = { type: 'Ready', status: 'False', reason: 'NodeLost', message: 'the node stopped reporting', lastTransitionTime: toTimestamp(nowMs) };
    try {
      await this.#context.client.patch(resources.pods, refOf(keyOf(pod)), { type: 'strategic', subresource: 'status', body: { metadata: { uid: pod.metadata.uid }, status: { conditions: [condition] } } }, signal);
    } catch (error) {
      if (!isError(error, 'not-found')) throw error;
    }
  }
}
