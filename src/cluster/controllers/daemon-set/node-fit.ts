import { isTaintTolerated, type k8s, podSelectsNode } from '../../../api/mod.ts';

/** What every daemon's pods endure, so that they stay on nodes that are in trouble (Kubernetes, "Taints and tolerations" of DaemonSets). */
export function daemonTolerations({ hostNetwork }: k8s.PodSpec): k8s.Toleration[] {
  const through = (name: string, effect: string): k8s.Toleration => ({ key: `node.kubernetes.io/${name}`, operator: 'Exists', effect });
  return [
    through('not-ready', 'NoExecute'),
    through('unreachable', 'NoExecute'),
    ...['disk-pressure', 'memory-pressure', 'pid-pressure', 'unschedulable'].map((name) => through(name, 'NoSchedule')),
    ...(hostNetwork === true ? [through('network-unavailable', 'NoSchedule')] : []),
  ];
}

/** Whether a daemon's pod belongs on the node, and whether one that is there may stay. */
export function fitOf(template: k8s.PodTemplateSpec, node: k8s.Node): { shouldRun: boolean; mayStay: boolean } {
  const spec = template.spec ?? { containers: [] };
  if (spec.nodeName !== undefined && spec.nodeName !== '' && spec.nodeName !== node.metadata?.name) return { shouldRun: false, mayStay: false };
  if (!podSelectsNode(spec, node)) return { shouldRun: false, mayStay: false };
  const tolerations = [...(spec.tolerations ?? []), ...daemonTolerations(spec)];
  const untolerated = (node.spec?.taints ?? []).filter((taint) => taint.effect !== 'PreferNoSchedule' && !isTaintTolerated(tolerations, taint));
  return { shouldRun: untolerated.length === 0, mayStay: untolerated.every(({ effect }) => effect !== 'NoExecute') };
}

/** The node a pod is on, or will be put on by its affinity. */
export function nodeOfPod({ spec }: k8s.Pod): string | undefined {
  if (spec?.nodeName !== undefined && spec.nodeName !== '') return spec.nodeName;
  const terms = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  return terms.flatMap(({ matchFields }) => matchFields ?? []).find(({ key, operator }) => key === 'metadata.name' && operator === 'In')?.values?.[0];
}

/** The template's affinity with its node terms narrowed to one node, which is left to the scheduler. */
export function affinityTo(node: string, affinity: k8s.Affinity | undefined): k8s.Affinity {
  const onNode = { matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] };
  const before = affinity?.nodeAffinity;
  return { ...affinity, nodeAffinity: { ...before, requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [onNode] } } };
}
