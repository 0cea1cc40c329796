import { isDeepStrictEqual } from 'node:util';
import { quantityValue, resources, type k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import type { PrepareContext, Strategy } from './kind.ts';
import { applyLimitRanges } from './limit-range.ts';
import { allContainers, defaultPod } from './pod-defaults.ts';
import { validatePodSpec } from './pod-validation.ts';
import { resolvePriority } from './priority-class.ts';

/** On the object that stands in the API for a pod that a node runs from a file; its value names the pod on the node. */
export const mirrorAnnotation = 'kubernetes.io/config.mirror';

/** Pods are given away by binding and ended by their node's agent; nearly all of a spec is fixed. */
export const podStrategy: Strategy<k8s.Pod> = {
  defaults: defaultPod,
  prepareCreate(pod, context) {
    const { spec, metadata } = pod;
    if (spec === undefined) return;
    // A mirror pod runs without the cluster: it has no account there.
    if (metadata?.annotations?.[mirrorAnnotation] === undefined) {
      if (spec.serviceAccountName === undefined || spec.serviceAccountName === '') spec.serviceAccountName = 'default';
      spec.serviceAccount = spec.serviceAccountName;
      takePullSecrets(spec, metadata?.namespace ?? '', context);
    }
    resolvePriority(spec, context);
    applyLimitRanges(pod, context);
    spec.tolerations = withDefaultTolerations(spec.tolerations ?? []);
    pod.status = { phase: 'Pending', qosClass: qosClassOf(spec), ...gatedStatus(spec, context) };
  },
  validate({ spec }, errors) {
    if (spec === undefined) errors.required('spec.containers');
    else validatePodSpec(spec, 'spec', errors);
  },
  validateUpdate: validatePodUpdate,
};

/** A pod that names no pull secrets has those of its service account. */
function takePullSecrets(spec: k8s.PodSpec, namespace: string, context: PrepareContext): void {
  if ((spec.imagePullSecrets ?? []).length > 0) return;
  for (const { metadata, ...account } of context.list(resources.serviceAccounts, namespace)) {
    const { imagePullSecrets = [] } = account as k8s.ServiceAccount;
    if (metadata.name === spec.serviceAccountName && imagePullSecrets.length > 0) spec.imagePullSecrets = structuredClone(imagePullSecrets);
  }
}

/** A pod with gates waits, and says so from the start. */
function gatedStatus({ schedulingGates }: k8s.PodSpec, { now }: PrepareContext): k8s.PodStatus {
  if ((schedulingGates?.length ?? 0) === 0) return {};
  return { conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated', message: 'Scheduling is blocked due to non-empty scheduling gates', lastTransitionTime: now }] };
}

/** Pods leave a node that has not been ready or reachable for five minutes, unless they say otherwise. */
function withDefaultTolerations(tolerations: readonly k8s.Toleration[]): k8s.Toleration[] {
  const missing = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'].filter(
    (key) => !tolerations.some((toleration) => (toleration.key === key || (toleration.key ?? '') === '') && (toleration.effect ?? 'NoExecute') === 'NoExecute'),
  );
  return [...tolerations, ...missing.map((key) => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 }))];
}

/** Guaranteed: requests equal limits for CPU and memory of all containers. BestEffort: neither anywhere. Burstable: the rest. */
export function qosClassOf(spec: k8s.PodSpec): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const containers = allContainers(spec);
  const names = ['cpu', 'memory'] as const;
  const isSet = (amount: string | undefined): boolean => amount !== undefined && quantityValue(amount) > 0;
  if (!containers.some(({ resources }) => names.some((name) => isSet(resources?.requests?.[name]) || isSet(resources?.limits?.[name])))) return 'BestEffort';
  const isFixed = containers.every(({ resources }) => names.every((name) => isSet(resources?.limits?.[name]) && (resources?.requests?.[name] ?? resources?.limits?.[name]) === resources?.limits?.[name]));
  return isFixed ? 'Guaranteed' : 'Burstable';
}

function validatePodUpdate(pod: k8s.Pod, old: k8s.Pod, errors: FieldErrors): void {
  if (pod.spec === undefined || old.spec === undefined) return;
  if (isDeepStrictEqual(changeable(pod.spec, old.spec), old.spec)) return validateTolerationsKept(pod.spec, old.spec, errors);
  errors.forbidden(
    'spec',
    'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
  );
}

/** The new spec with everything that may change taken from the old one. */
function changeable(spec: k8s.PodSpec, old: k8s.PodSpec): k8s.PodSpec {
  const withImages = (containers: readonly k8s.Container[] | undefined, before: readonly k8s.Container[] | undefined): k8s.Container[] | undefined =>
    containers?.map((container, index) => ({ ...container, ...(before?.[index]?.image === undefined ? {} : { image: before[index].image }) }));
  const result: k8s.PodSpec = { ...spec, containers: withImages(spec.containers, old.containers) ?? [] };
  const initContainers = withImages(spec.initContainers, old.initContainers);
  if (initContainers !== undefined) result.initContainers = initContainers;
  const gates = spec.schedulingGates ?? [];
  const isGateKept = gates.every((gate) => old.schedulingGates?.some(({ name }) => name === gate.name) === true);
  for (const field of ['tolerations', 'activeDeadlineSeconds', ...(isGateKept ? ['schedulingGates' as const] : [])] as const) {
    if (old[field] === undefined) delete result[field];
    else Object.assign(result, { [field]: old[field] });
  }
  return result;
}

function validateTolerationsKept(spec: k8s.PodSpec, old: k8s.PodSpec, errors: FieldErrors): void {
  const isKept = (old.tolerations ?? []).every((toleration) => spec.tolerations?.some((now) => isDeepStrictEqual({ ...now, tolerationSeconds: 0 }, { ...toleration, tolerationSeconds: 0 })));
  if (!isKept) errors.forbidden('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds');
}
