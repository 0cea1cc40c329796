import { type k8s, keyOf, type KubeObject, type ResourceType, type Stored } from '../../../api/mod.ts';

export interface GraphNode {
  readonly type: ResourceType;
  readonly object: Stored<KubeObject>;
}

/** Who owns whom, by uid, over all kinds. Owners that are not (yet) known have dependents too. */
export class ObjectGraph {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #dependents = new Map<string, Set<string>>();

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  dependentsOf(uid: string): GraphNode[] {
    return [...(this.#dependents.get(uid) ?? [])].flatMap((dependent) => this.#nodes.get(dependent) ?? []);
  }

  /** Only metadata is kept: specs and statuses say nothing about ownership. */
  set(type: ResourceType, object: Stored<KubeObject>): void {
    const { uid } = object.metadata;
    this.#unlink(uid);
    this.#nodes.set(uid, { type, object: { apiVersion: object.apiVersion, kind: object.kind, metadata: object.metadata } });
    for (const owner of ownersOf(object)) {
      const dependents = this.#dependents.get(owner.uid) ?? new Set();
      this.#dependents.set(owner.uid, dependents.add(uid));
    }
  }

  remove(uid: string): void {
    this.#unlink(uid);
    this.#nodes.delete(uid);
  }

  #unlink(uid: string): void {
    for (const owner of ownersOf(this.#nodes.get(uid)?.object)) {
      const dependents = this.#dependents.get(owner.uid);
      dependents?.delete(uid);
      if (dependents?.size === 0) this.#dependents.delete(owner.uid);
    }
  }
}

export function ownersOf(object: KubeObject | undefined): readonly k8s.OwnerReference[] {
  return object?.metadata?.ownerReferences ?? [];
}

/** `Kind namespace/name`, for logs. */
export function nameOf({ type, object }: GraphNode): string {
  return `${type.kind} ${keyOf(object)}`;
}
