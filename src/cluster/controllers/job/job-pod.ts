import { type k8s, resources } from '../../../api/mod.ts';
import { randomNameSuffix } from '../../../kernel/mod.ts';
import { podFromTemplate } from '../pods/pod-control.ts';
import { failuresAnnotation, indexAnnotation, type Job, type PodOrder, trackingFinalizer } from './observed.ts';

/** Kubernetes cuts generated names so that the suffix always fits. */
const maxPrefix = 58;

/** A pod of the Job. One of an Indexed Job knows its index as annotation, label, variable and host name. */
export function jobPod(job: Job, { index, failures }: PodOrder): k8s.Pod {
  const prefix = `${job.metadata.name}-${index === undefined ? '' : `${index}-`}`.slice(0, maxPrefix);
  const pod = podFromTemplate(resources.jobs, job, job.spec.template, prefix + randomNameSuffix());
  const metadata = { ...pod.metadata, generateName: prefix, finalizers: [...(pod.metadata?.finalizers ?? []), trackingFinalizer] };
  if (index === undefined) return { ...pod, metadata };
  const annotations = { ...metadata.annotations, [indexAnnotation]: String(index), ...(failures === undefined ? {} : { [failuresAnnotation]: String(failures) }) };
  const spec = pod.spec ?? { containers: [] };
  return {
    ...pod,
    metadata: { ...metadata, annotations, labels: { ...metadata.labels, [indexAnnotation]: String(index) } },
    spec: {
      ...spec,
      hostname: spec.hostname ?? `${job.metadata.name}-${index}`.slice(0, 63),
      containers: spec.containers.map(withIndex),
      ...(spec.initContainers === undefined ? {} : { initContainers: spec.initContainers.map(withIndex) }),
    },
  };
}

function withIndex(container: k8s.Container): k8s.Container {
  const name = 'JOB_COMPLETION_INDEX';
  if (container.env?.some((variable) => variable.name === name) === true) return container;
  return { ...container, env: [...(container.env ?? []), { name, valueFrom: { fieldRef: { fieldPath: `metadata.annotations['${indexAnnotation}']` } } }] };
}
