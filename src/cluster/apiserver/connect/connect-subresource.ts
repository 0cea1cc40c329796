import type { ApiObject } from '../kinds/kind.ts';

/** Where on a node's agent a request is answered: the node's name, and path with query. */
export interface ConnectTarget { readonly nodeName: string; readonly path: string }

/** A subresource that is not answered here but by the agent of the node that the object is on: logs, exec, port-forward. */
export interface ConnectSubresource {
  readonly group: string;
  readonly plural: string;
  /** The path segment behind the object's name. */
  readonly name: string;
  /** What discovery says it takes, for example `PodExecOptions`. */
  readonly optionsKind: string;
  readonly verbs: readonly string[];
  /** Finds the agent's path; throws `invalid` when the object is on no node or the query makes no sense. */
  target(object: ApiObject, query: URLSearchParams): ConnectTarget;
}
