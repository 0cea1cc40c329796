import { type k8s, nodeSelectorMatches, quantityValue, selectorMatches } from '../../../api/mod.ts';
import type { NodeState, Pod } from '../cluster-state.ts';
import type { Filter, NodeCheck, VolumeView } from './filter.ts';

/** Where the scheduler writes which node a claim's volume belongs on. */
export const selectedNode = 'volume.kubernetes.io/selected-node';
const noProvisioner = 'kubernetes.io/no-provisioner';

/** Claims: bound volumes draw the pod to where they are, others must be obtainable on the node. */
export const volumesFilter: Filter = {
  name: 'volumes',
  isHelpedByEviction: false,
  prepare: (pod, nodes, { volumes }) => {
    const names = claimNamesOf(pod);
    if (names.length === 0 || volumes === undefined) return undefined;
    const checks = names.flatMap((name) => checkOf(pod, name, nodes, volumes) ?? []);
    if (checks.length === 0) return undefined;
    return (node) => {
      for (const check of checks) {
        const reason = check(node);
        if (reason !== undefined) return reason;
      }
      return undefined;
    };
  },
};

/** Names of the claims a pod mounts. */
export function claimNamesOf({ spec }: k8s.Pod): string[] {
  return (spec?.volumes ?? []).flatMap(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? []);
}

/** Whether the claim waits for its first pod to find a node. */
export function isWaitingForConsumer(claim: k8s.PersistentVolumeClaim, volumes: VolumeView): boolean {
  return (claim.spec?.volumeName ?? '') === '' && volumes.storageClass(claim.spec?.storageClassName ?? '')?.volumeBindingMode === 'WaitForFirstConsumer';
}

function checkOf(pod: Pod, name: string, nodes: readonly NodeState[], volumes: VolumeView): NodeCheck | undefined {
  const claim = volumes.claim(pod.metadata.namespace ?? '', name);
  if (claim === undefined) return () => `persistentvolumeclaim "${name}" not found`;
  if (claim.metadata?.deletionTimestamp !== undefined) return () => `persistentvolumeclaim "${name}" is being deleted`;
  const exclusive = claim.spec?.accessModes?.includes('ReadWriteOncePod') === true && isUsedElsewhere(pod, name, nodes);
  if (exclusive) return () => 'node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode';
  const volumeName = claim.spec?.volumeName ?? '';
  if (volumeName !== '') return boundCheck(volumeName, claim, volumes);
  if (!isWaitingForConsumer(claim, volumes)) return () => 'pod has unbound immediate PersistentVolumeClaims';
  return unboundCheck(claim, volumes);
}

function boundCheck(volumeName: string, claim: k8s.PersistentVolumeClaim, volumes: VolumeView): NodeCheck | undefined {
  const volume = volumes.volume(volumeName);
  if (volume === undefined) return claim.status?.phase === 'Lost' ? () => `persistentvolumeclaim "${claim.metadata?.name ?? ''}" bound to non-existent persistentvolume "${volumeName}"` : undefined;
  const required = volume.spec?.nodeAffinity?.required;
  return required === undefined ? undefined : ({ node }) => (nodeSelectorMatches(required, node) ? undefined : "node(s) didn't match PersistentVolume's node affinity");
}

function unboundCheck(claim: k8s.PersistentVolumeClaim, volumes: VolumeView): NodeCheck | undefined {
  const chosen = claim.metadata?.annotations?.[selectedNode];
  // A volume is being made there for another pod already.
  if (chosen !== undefined) return ({ node }) => (node.metadata.name === chosen ? undefined : "node(s) didn't match the node that the volume is being made on");
  const provisioner = volumes.storageClass(claim.spec?.storageClassName ?? '')?.provisioner;
  if (provisioner !== noProvisioner) return undefined;
  const free = volumes.volumes().filter((volume) => mayBind(claim, volume));
  return ({ node }) => (free.some(({ spec }) => spec?.nodeAffinity?.required === undefined || nodeSelectorMatches(spec.nodeAffinity.required, node)) ? undefined : "node(s) didn't find available persistent volumes to bind");
}

function mayBind({ metadata, spec }: k8s.PersistentVolumeClaim, volume: k8s.PersistentVolume): boolean {
  const { claimRef, capacity, accessModes, storageClassName } = volume.spec ?? {};
  if (claimRef !== undefined && (claimRef.name !== metadata?.name || claimRef.namespace !== metadata?.namespace)) return false;
  return (
    volume.metadata?.deletionTimestamp === undefined &&
    volume.status?.phase !== 'Released' &&
    (storageClassName ?? '') === (spec?.storageClassName ?? '') &&
    (spec?.accessModes ?? []).every((mode) => accessModes?.includes(mode) === true) &&
    (spec?.selector === undefined || selectorMatches(spec.selector, volume.metadata?.labels)) &&
    quantityValue(capacity?.['storage'] ?? '0') >= quantityValue(spec?.resources?.requests?.['storage'] ?? '0')
  );
}

function isUsedElsewhere(pod: Pod, name: string, nodes: readonly NodeState[]): boolean {
  return nodes.some(({ pods }) => [...pods.values()].some((other) => other.metadata.uid !== pod.metadata.uid && other.metadata.namespace === pod.metadata.namespace && claimNamesOf(other).includes(name)));
}
