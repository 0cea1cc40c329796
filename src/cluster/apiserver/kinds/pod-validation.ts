import { isIP } from 'node:net';
import type { k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { labelValueProblem, nameProblem, qualifiedNameProblem } from '../validation/names.ts';
import { validateContainer } from './container-validation.ts';
import { validateVolumes } from './volume-validation.ts';

/** Checks the spec of a pod or of a template at `at`. */
export function validatePodSpec(spec: k8s.PodSpec, at: string, errors: FieldErrors): void {
  const volumes = validateVolumes(spec.volumes ?? [], `${at}.volumes`, errors);
  if ((spec.containers ?? []).length === 0) errors.required(`${at}.containers`);
  const seen = new Set<string>();
  for (const [field, containers] of [['containers', spec.containers ?? []], ['initContainers', spec.initContainers ?? []], ['ephemeralContainers', spec.ephemeralContainers ?? []]] as const) {
    for (const [index, container] of containers.entries()) {
      const place = `${at}.${field}[${index}]`;
      if (seen.has(container.name)) errors.duplicate(`${place}.name`, container.name);
      seen.add(container.name);
      validateContainer(container, place, { volumes, isInit: field === 'initContainers' }, errors);
    }
  }
  validateHostPorts(spec, at, errors);
  validateHostUsers(spec, at, errors);
  if (!['Always', 'OnFailure', 'Never'].includes(spec.restartPolicy ?? '')) errors.unsupported(`${at}.restartPolicy`, spec.restartPolicy, ['Always', 'OnFailure', 'Never']);
  const dnsPolicies = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'];
  if (!dnsPolicies.includes(spec.dnsPolicy ?? '')) errors.unsupported(`${at}.dnsPolicy`, spec.dnsPolicy, dnsPolicies);
  if (spec.dnsPolicy === 'None' && (spec.dnsConfig?.nameservers?.length ?? 0) === 0) errors.required(`${at}.dnsConfig.nameservers`, 'must provide at least one DNS nameserver when `dnsPolicy` is None');
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) errors.invalid(`${at}.terminationGracePeriodSeconds`, spec.terminationGracePeriodSeconds, 'must be greater than or equal to 0');
  if (spec.activeDeadlineSeconds !== undefined && spec.activeDeadlineSeconds < 1) errors.invalid(`${at}.activeDeadlineSeconds`, spec.activeDeadlineSeconds, 'must be between 1 and 2147483647, inclusive');
  validateNames(spec, at, errors);
  for (const [key, value] of Object.entries(spec.nodeSelector ?? {})) {
    const problem = qualifiedNameProblem(key) ?? labelValueProblem(value);
    if (problem !== undefined) errors.invalid(`${at}.nodeSelector`, key, problem);
  }
  for (const [index, toleration] of (spec.tolerations ?? []).entries()) validateToleration(toleration, `${at}.tolerations[${index}]`, errors);
  for (const [index, alias] of (spec.hostAliases ?? []).entries()) {
    if (isIP(alias.ip) === 0) errors.invalid(`${at}.hostAliases[${index}].ip`, alias.ip, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)');
  }
}

function validateNames(spec: k8s.PodSpec, at: string, errors: FieldErrors): void {
  const rules = [['serviceAccountName', 'subdomain'], ['nodeName', 'subdomain'], ['hostname', 'label'], ['subdomain', 'label'], ['priorityClassName', 'subdomain']] as const;
  for (const [field, rule] of rules) {
    const name = spec[field];
    const problem = name === undefined || name === '' ? undefined : nameProblem(rule, name);
    if (problem !== undefined) errors.invalid(`${at}.${field}`, name, problem);
  }
}

function validateToleration(toleration: k8s.Toleration, at: string, errors: FieldErrors): void {
  const operator = toleration.operator ?? 'Equal';
  const problem = toleration.key === undefined || toleration.key === '' ? undefined : qualifiedNameProblem(toleration.key);
  if (problem !== undefined) errors.invalid(`${at}.key`, toleration.key, problem);
  if (operator !== 'Equal' && operator !== 'Exists') errors.unsupported(`${at}.operator`, operator, ['Equal', 'Exists']);
  if ((toleration.key ?? '') === '' && operator !== 'Exists') errors.invalid(`${at}.operator`, operator, 'operator must be Exists when `key` is empty, which means "match all values and all keys"');
  if (operator === 'Exists' && (toleration.value ?? '') !== '') errors.invalid(`${at}.value`, toleration.value, 'value must be empty when `operator` is \'Exists\'');
  const effects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];
  if (toleration.effect !== undefined && toleration.effect !== '' && !effects.includes(toleration.effect)) errors.unsupported(`${at}.effect`, toleration.effect, effects);
  if (toleration.tolerationSeconds !== undefined && toleration.effect !== 'NoExecute') errors.invalid(`${at}.effect`, toleration.effect, 'effect must be \'NoExecute\' when `tolerationSeconds` is set');
}

/** What a user namespace of the pod's own excludes. Privileged containers are our limit: the runtime cannot give them the host's devices there. */
function validateHostUsers(spec: k8s.PodSpec, at: string, errors: FieldErrors): void {
  if (spec.hostUsers !== false) return;
  for (const field of ['hostNetwork', 'hostPID', 'hostIPC'] as const) if (spec[field] === true) errors.forbidden(`${at}.${field}`, 'when `hostUsers` is false');
  for (const [field, containers] of [['containers', spec.containers ?? []], ['initContainers', spec.initContainers ?? []], ['ephemeralContainers', spec.ephemeralContainers ?? []]] as const) {
    for (const [index, { securityContext }] of containers.entries()) {
      if (securityContext?.privileged === true) errors.forbidden(`${at}.${field}[${index}].securityContext.privileged`, 'is not supported by this cluster when `hostUsers` is false');
    }
  }
}

function validateHostPorts(spec: k8s.PodSpec, at: string, errors: FieldErrors): void {
  const seen = new Set<string>();
  for (const [index, { ports }] of (spec.containers ?? []).entries()) {
    for (const [portIndex, port] of (ports ?? []).entries()) {
      if (port.hostPort === undefined || port.hostPort === 0) continue;
      const place = `${at}.containers[${index}].ports[${portIndex}]`;
      const key = `${port.hostIP ?? ''}/${port.protocol}/${port.hostPort}`;
      if (seen.has(key)) errors.duplicate(`${place}.hostPort`, key);
      seen.add(key);
      if (spec.hostNetwork === true && port.hostPort !== port.containerPort) errors.invalid(`${place}.containerPort`, port.containerPort, 'must match `hostPort` when `hostNetwork` is true');
    }
  }
}
