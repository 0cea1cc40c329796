import type { FieldErrors } from '../validation/field-errors.ts';
import type { Level } from './checks.ts';

export const modes = ['enforce', 'audit', 'warn'] as const;

export type Mode = (typeof modes)[number];

/** What a namespace asks for in one mode. The version is shown; the checks are always the newest. */
export interface Policy { readonly level: Level; readonly version: string }

const prefix = 'pod-security.kubernetes.io/';
const levels: readonly Level[] = ['privileged', 'baseline', 'restricted'];

/** The policies of a namespace's labels. A level that cannot be read counts as restricted, as in Kubernetes. */
export function policiesOf(labels: Readonly<Record<string, string>> | undefined): Record<Mode, Policy> {
  const policy = (mode: Mode): Policy => {
    const level = labels?.[prefix + mode];
    const known = levels.find((name) => name === level);
    return { level: level === undefined ? 'privileged' : (known ?? 'restricted'), version: labels?.[`${prefix}${mode}-version`] ?? 'latest' };
  };
  return { enforce: policy('enforce'), audit: policy('audit'), warn: policy('warn') };
}

/** Labels of a namespace that mean nothing. */
export function validatePolicyLabels(labels: Readonly<Record<string, string>> | undefined, errors: FieldErrors): void {
  for (const mode of modes) {
    const level = labels?.[prefix + mode];
    if (level !== undefined && !levels.some((name) => name === level)) errors.invalid(`metadata.labels[${prefix}${mode}]`, level, `must be one of ${levels.join(', ')}`);
    const version = labels?.[`${prefix}${mode}-version`];
    if (version !== undefined && !/^(latest|v1\.\d+)$/.test(version)) errors.invalid(`metadata.labels[${prefix}${mode}-version]`, version, 'must be "latest" or "v1.x"');
  }
}
