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
}

interface Placement { readonly nodeName: string; readonly pod: Pod; readonly requests: ReadonlyMap<string, number> }

/** Which pod is on which node and what is left there. Placements are known before their node is, and before the API server confirms them. */
export class ClusterState {
  readonly #nodes = new Map<string, NodeState>();
  readonly #placements = new Map<string, Placement>();

  get nodes(): readonly NodeState[] {
    return [...this.#nodes.values()];
  }

  setNode(node: Stored<k8s.Node>): void {
    const state: NodeState = { node, allocatable: amountsOf(node.status?.allocatable), requested: new Map(), pods: new Map() };
    this.#nodes.set(node.metadata.name, state);
    for (const placement of this.#placements.values()) if (placement.nodeName === node.metadata.name) add(state, placement);
  }

  removeNode(name: string): void {
    this.#nodes.delete(name);
  }

  /** Puts the pod on the node, or moves it there. */
  place(pod: Pod, nodeName: string): void {
    this.remove(pod.metadata.uid);
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
    if (state?.pods.delete(uid) === true) addAmounts(state.requested, placement.requests, -1);
  }

  isPlaced(uid: string): boolean {
    return this.#placements.has(uid);
  }
}

function add(state: NodeState, { pod, requests }: Placement): void {
  state.pods.set(pod.metadata.uid, pod);
  addAmounts(state.requested, requests);
}

