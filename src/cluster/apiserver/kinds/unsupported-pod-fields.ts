import { isFields, type k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';

/**
 * Fields of pods that nothing in this cluster acts on: they are refused when they ask for something, not stored and ignored.
 * `*` stands for every item of a list; a list of values refuses only those. docs/compatibility-kubernetes.md is generated from it.
 */
export const unsupportedPodFields: readonly (readonly [path: string, values?: readonly unknown[]])[] = [
  ['resources'],
  ['resourceClaims'],
  ['runtimeClassName'],
  ['overhead'],
  ['shareProcessNamespace', [true]],
  ['hostUsers', [false]],
  ['os.name', ['windows']],
  ['schedulingGroup'],
  ['hostnameOverride'],
  ['securityContext.seLinuxOptions'],
  ['securityContext.windowsOptions'],
  ['securityContext.appArmorProfile.type', ['RuntimeDefault', 'Localhost']],
  ['securityContext.seccompProfile.type', ['Localhost']],
  ['volumes.*.emptyDir.medium', ['HugePages']],
  ['volumes.*.projected.sources.*.clusterTrustBundle'],
  ['volumes.*.projected.sources.*.podCertificate'],
  ...['containers', 'initContainers', 'ephemeralContainers'].flatMap((list): (readonly [string, (readonly unknown[])?])[] => [
    [`${list}.*.restartPolicyRules`],
    [`${list}.*.volumeDevices`],
    [`${list}.*.resources.claims`],
    [`${list}.*.ports.*.protocol`, ['SCTP']],
    [`${list}.*.env.*.valueFrom.fileKeyRef`],
    [`${list}.*.volumeMounts.*.recursiveReadOnly`, ['Enabled']],
    [`${list}.*.securityContext.seLinuxOptions`],
    [`${list}.*.securityContext.windowsOptions`],
    [`${list}.*.securityContext.procMount`, ['Unmasked']],
    [`${list}.*.securityContext.appArmorProfile.type`, ['RuntimeDefault', 'Localhost']],
    [`${list}.*.securityContext.seccompProfile.type`, ['Localhost']],
  ]),
];

const rules = unsupportedPodFields.map(([path, values]) => ({ segments: path.split('.'), values }));

/** Refuses what the pod spec at `at` asks for and nobody here can do. */
export function refuseUnsupported(spec: k8s.PodSpec, at: string, errors: FieldErrors): void {
  for (const { segments, values } of rules) visit(spec, segments, at, values, errors);
}

function visit(value: unknown, segments: readonly string[], at: string, values: readonly unknown[] | undefined, errors: FieldErrors): void {
  const [first, ...rest] = segments;
  if (first === undefined) return report(value, at, values, errors);
  if (first === '*') {
    if (Array.isArray(value)) for (const [index, item] of value.entries()) visit(item, rest, `${at}[${index}]`, values, errors);
  } else if (isFields(value) && value[first] !== undefined) visit(value[first], rest, `${at}.${first}`, values, errors);
}

function report(value: unknown, at: string, values: readonly unknown[] | undefined, errors: FieldErrors): void {
  const isEmpty = value === '' || (Array.isArray(value) && value.length === 0) || (isFields(value) && Object.keys(value).length === 0);
  if (values === undefined ? isEmpty : !values.includes(value)) return;
  errors.forbidden(at, values === undefined ? 'is not supported by this cluster' : `${JSON.stringify(value)} is not supported by this cluster`);
}
