import { type k8s, resources } from '../../../api/mod.ts';
import { podFromTemplate } from '../pods/pod-control.ts';
import { revisionLabel, templateOf } from '../revisions/revisions.ts';
import type { StatefulSet } from './observed.ts';

/** The name that a claim template's volume has for one pod of the set. */
export function claimName(set: StatefulSet, template: k8s.PersistentVolumeClaim, ordinal: number): string {
  return `${template.metadata?.name ?? ''}-${set.metadata.name}-${ordinal}`;
}

/** The pod of that ordinal, made from a revision: a name, a host name and volumes of its own that stay when the pod goes. */
export function statefulPod(set: StatefulSet, revision: k8s.ControllerRevision, ordinal: number): k8s.Pod {
  const name = `${set.metadata.name}-${ordinal}`;
  const pod = podFromTemplate(resources.statefulSets, set, templateOf(revision) ?? set.spec.template, name);
  const spec = pod.spec ?? { containers: [] };
  const claims = set.spec.volumeClaimTemplates ?? [];
  const own = new Set(claims.map(({ metadata }) => metadata?.name));
  const volumes = [
    ...(spec.volumes ?? []).filter((volume) => !own.has(volume.name)),
    ...claims.map((template): k8s.Volume => ({ name: template.metadata?.name ?? '', persistentVolumeClaim: { claimName: claimName(set, template, ordinal) } })),
  ];
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      labels: { ...pod.metadata?.labels, 'statefulset.kubernetes.io/pod-name': name, 'apps.kubernetes.io/pod-index': String(ordinal), [revisionLabel]: revision.metadata?.name ?? '' },
    },
    spec: { ...spec, hostname: name, ...(set.spec.serviceName === undefined ? {} : { subdomain: set.spec.serviceName }), ...(volumes.length === 0 ? {} : { volumes }) },
  };
}

/** The claims that a pod of that ordinal needs. */
export function claimsFor(set: StatefulSet, ordinal: number): k8s.PersistentVolumeClaim[] {
  return (set.spec.volumeClaimTemplates ?? []).map((template) => ({
    metadata: {
      name: claimName(set, template, ordinal),
      namespace: set.metadata.namespace,
      labels: { ...template.metadata?.labels, ...set.spec.selector.matchLabels },
      ...(template.metadata?.annotations === undefined ? {} : { annotations: template.metadata.annotations }),
    },
    spec: structuredClone(template.spec),
  }));
}
