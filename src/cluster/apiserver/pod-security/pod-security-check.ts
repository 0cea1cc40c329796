import { isDeepStrictEqual } from 'node:util';
import { isFields, type k8s, resources } from '../../../api/mod.ts';
import type { Logger } from '../../../kernel/mod.ts';
import { objectForbidden } from '../errors.ts';
import type { ApiObject } from '../kinds/kind.ts';
import type { AdmissionCheck, AdmissionRequest } from '../operations/admission.ts';
import { listObjects, type Machine } from '../operations/machine.ts';
import { violations } from './checks.ts';
import { policiesOf, type Policy } from './policy.ts';

/** How many pods are named when a namespace's level is raised. */
const maxNamedPods = 20;

/** Pod security standards by namespace label: enforced for pods, warned about for pods and for what makes pods, logged for the audit. */
export function podSecurityCheck(machine: () => Machine, log: Logger): AdmissionCheck {
  return (request) => {
    const { kind, object, old, part } = request;
    // What the server's own subresources change of a pod is judged too: containers added to a running one, for example.
    if (object === undefined || part === 'status') return;
    if (kind.type.group === '' && kind.type.plural === 'namespaces') return checkNamespace(machine(), request, object, old);
    const spec = podSpecOf(object);
    if (spec === undefined || !kind.type.isNamespaced) return;
    const isPod = kind.type.group === '' && kind.type.plural === 'pods';
    if (isPod && old !== undefined && !isSignificant(object as k8s.Pod, old as k8s.Pod)) return;
    const { enforce, audit, warn } = policiesOf(machine().objects.get(`/core/namespaces/${object.metadata.namespace ?? ''}`)?.object.metadata.labels);
    const found = (policy: Policy): string => violations(policy.level, spec, policy.minor);
    const told = isPod ? found(enforce) : '';
    const audited = found(audit);
    if (audited !== '') log.info('pod security: would violate', { kind: kind.type.kind, namespace: object.metadata.namespace, name: object.metadata.name, level: audit.level, why: audited });
    if (told !== '') throw objectForbidden(kind.type, object.metadata.name, `violates PodSecurity "${enforce.level}:${enforce.version}": ${told}`);
    const warned = found(warn);
    if (warned !== '') request.warnings.push(`would violate PodSecurity "${warn.level}:${warn.version}": ${warned}`);
  };
}

/** A pod that exists is judged again when its containers change: their images, or ephemeral ones that come to it. */
function isSignificant({ spec }: k8s.Pod, { spec: old }: k8s.Pod): boolean {
  const images = (part: k8s.PodSpec | undefined): unknown => [...(part?.containers ?? []), ...(part?.initContainers ?? [])].map(({ name, image }) => [name, image]);
  return !isDeepStrictEqual(images(spec), images(old)) || !isDeepStrictEqual(spec?.ephemeralContainers ?? [], old?.ephemeralContainers ?? []);
}

/** The spec of the pod that an object is, or makes: a Pod, or the template of a workload. */
function podSpecOf(object: ApiObject): k8s.PodSpec | undefined {
  if (object.kind === 'Pod') return specIn(object);
  const spec = isFields(object.spec) ? object.spec : {};
  const job = isFields(spec['jobTemplate']) && isFields(spec['jobTemplate']['spec']) ? spec['jobTemplate']['spec'] : spec;
  return isFields(job['template']) ? specIn(job['template']) : undefined;
}

function specIn(value: Readonly<Record<string, unknown>>): k8s.PodSpec | undefined {
  const { spec } = value;
  if (!isFields(spec) || !Array.isArray(spec['containers'])) return undefined;
  return spec as unknown as k8s.PodSpec;
}

/** Raising the level of a namespace does not end pods; who does it is told which would not be let in again. */
function checkNamespace(machine: Machine, { warnings }: AdmissionRequest, namespace: ApiObject, old: ApiObject | undefined): void {
  const { enforce } = policiesOf(namespace.metadata.labels);
  const before = policiesOf(old?.metadata.labels).enforce;
  if (old === undefined || (enforce.level === before.level && enforce.minor === before.minor) || enforce.level === 'privileged') return;
  const bad = [...listObjects(machine, resources.pods, namespace.metadata.name)].flatMap((pod) => {
    const spec = specIn(pod);
    const found = spec === undefined ? '' : violations(enforce.level, spec, enforce.minor);
    return found === '' ? [] : [`${pod.metadata.name}: ${found}`];
  });
  if (bad.length === 0) return;
  warnings.push(`existing pods in namespace ${JSON.stringify(namespace.metadata.name)} violate the new PodSecurity enforce level "${enforce.level}:${enforce.version}"`, ...bad.slice(0, maxNamedPods));
}
