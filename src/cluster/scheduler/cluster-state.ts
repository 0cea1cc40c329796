import type { k8s, Stored } from '../../api/mod.ts';
import { addAmounts, amountsOf, podRequests } from './pod-requests.ts';

export type Pod = Stored<k8s.Pod>;

/** A node with what is on it. */
export interface NodeState {
  readonly node: Stored<k8s.Node>;
  readonly allocatable: ReadonlyMap<string, number>;
  readonly requested: Map<string, number>;
  /** By uid. */
  readonly pods: Map<string, Pod>;
  /** Those of `pods` that keep others away by a required anti-affinity; usually none. */
  readonly repellingPods: Map<string, Pod>;
  /** Pods for which room is being made here, by uid. They are on no node yet. */
  readonly nominated: Map<string, Nomination>;
}

export interface Nomination { readonly pod: Pod; readonly requests: ReadonlyMap<string, number> }

interface Placement { readonly nodeName: string; readonly pod: Pod; readonly requests: ReadonlyMap<string, number> }

/** Which pod is on which node and what is left there. Placements are known before their node is, and before the API server confirms them. */
export class ClusterState {
  readonly #nodes = new Map<string, NodeState>();
  readonly #placements = new Map<string, Placement>();
  readonly #nominations = new Map<string, Nomination & { readonly nodeName: string }>();

  get nodes(): readonly NodeState[] {
    return [...this.#nodes.values()];
  }

  setNode(node: Stored<k8s.Node>): void {
    const state: NodeState = { node, allocatable: amountsOf(node.status?.allocatable), requested: new Map(), pods: new Map(), repellingPods: new Map(), nominated: new Map() };
    this.#nodes.set(node.metadata.name, state);
    for (const placement of this.#placements.values()) if (placement.nodeName === node.metadata.name) add(state, placement);
    for (const [uid, { nodeName, ...nomination }] of this.#nominations) if (nodeName === node.metadata.name) state.nominated.set(uid, nomination);
  }

  removeNode(name: string): void {
    this.#nodes.delete(name);
  }

  /** Puts the pod on the node, or moves it there. */
  place(pod: Pod, nodeName: string): void {
    this.remove(pod.metadata.uid);
    this.withdraw(pod.metadata.uid);
    const placement = { nodeName, pod, requests: podRequests(pod) };
    this.#placements.set(pod.metadata.uid, placement);
    const state = this.#nodes.get(nodeName);
    if (state !== undefined) add(state, placement);
  }

  /** Frees what the pod had. A no-op when it has nothing. */
  remove(uid: string): void {
    const placement = this.#placements.get(uid);
    if (placement === undefined) return;
    this.#placements.delete(uid);
    const state = this.#nodes.get(placement.nodeName);
    if (state !== undefined) removeFrom(state, uid, placement.requests);
  }

  /** Keeps room on the node for a pod that waits for others to leave it. Less important pods do not get that room. */
  nominate(pod: Pod, nodeName: string): void {
    this.withdraw(pod.metadata.uid);
    const nomination = { pod, requests: podRequests(pod) };
    this.#nominations.set(pod.metadata.uid, { ...nomination, nodeName });
    this.#nodes.get(nodeName)?.nominated.set(pod.metadata.uid, nomination);
  }

  /** Ends a nomination. Returns whether there was one. */
  withdraw(uid: string): boolean {
    const nomination = this.#nominations.get(uid);
    if (nomination === undefined) return false;
    this.#nominations.delete(uid);
    this.#nodes.get(nomination.nodeName)?.nominated.delete(uid);
    return true;
  }

  /** Whether pods that were asked to leave for this one are still on their way out. */
  isMakingRoom({ metadata, spec }: Pod): boolean {
    const nomination = this.#nominations.get(metadata.uid);
    const pods = this.#nodes.get(nomination?.nodeName ?? '')?.pods.values() ?? [];
    return [...pods].some((other) => other.metadata.deletionTimestamp !== undefined && (other.spec?.priority ?? 0) < (spec?.priority ?? 0));
  }

  isPlaced(uid: string): boolean {
    return this.#placements.has(uid);
  }
}

/** A copy of the node as it would be without these pods. */
export function withoutPods(state: NodeState, pods: readonly Pod[]): NodeState {
  const copy = { ...state, requested: new Map(state.requested), pods: new Map(state.pods), repellingPods: new Map(state.repellingPods) };
  for (const pod of pods) removeFrom(copy, pod.metadata.uid, podRequests(pod));
  return copy;
}

function removeFrom(state: NodeState, uid: string, requests: ReadonlyMap<string, number>): void {
  state.repellingPods.delete(uid);
  if (state.pods.delete(uid)) addAmounts(state.requested, requests, -1);
}

function add(state: NodeState, { pod, requests }: Placement): void {
  state.pods.set(pod.metadata.uid, pod);
  if ((pod.spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).length > 0) state.repellingPods.set(pod.metadata.uid, pod);
  addAmounts(state.requested, requests);
}

