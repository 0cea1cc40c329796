import type { k8s } from '../../../api/mod.ts';
import type { NodeState, Pod } from '../cluster-state.ts';

/** What is computed once for a pod and asked of every node: undefined when the pod may run there, else why not, as part of a sentence. */
export type NodeCheck = (node: NodeState) => string | undefined;

/** What is known of volumes. */
export interface VolumeView {
  claim(namespace: string, name: string): k8s.PersistentVolumeClaim | undefined;
  volume(name: string): k8s.PersistentVolume | undefined;
  storageClass(name: string): k8s.StorageClass | undefined;
  volumes(): readonly k8s.PersistentVolume[];
}

/** What rules need to know beside nodes and their pods. */
export interface Surroundings {
  /** Without it volumes play no part. */
  readonly volumes?: VolumeView;
  /** Labels of a namespace; undefined when there is none of that name. */
  namespaceLabels(name: string): Readonly<Record<string, string>> | undefined;
}

/** A rule of where pods may run. `prepare` returns undefined when the rule does not concern the pod. */
export interface Filter {
  readonly name: string;
  prepare(pod: Pod, nodes: readonly NodeState[], surroundings: Surroundings): NodeCheck | undefined;
  /** Whether taking pods away from a node can make the rule say yes. */
  readonly isHelpedByEviction: boolean;
}
