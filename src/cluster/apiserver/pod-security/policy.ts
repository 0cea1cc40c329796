import type { FieldErrors } from '../validation/field-errors.ts';
import { type Level, newestMinor } from './checks.ts';

export const modes = ['enforce', 'audit', 'warn'] as const;

export type Mode = (typeof modes)[number];

/** What a namespace asks for in one mode: a level, in the version of a release. */
export interface Policy {
  readonly level: Level;
  /** As it is told: `latest` or `v1.25`. */
  readonly version: string;
  readonly minor: number;
}

const prefix = 'pod-security.kubernetes.io/';
const versionPattern = /^v1\.(0|[1-9]\d{0,3})$/;
const levels: readonly Level[] = ['privileged', 'baseline', 'restricted'];

/** The policies of a namespace's labels. What cannot be read counts as restricted where it is enforced and as nothing elsewhere, as in Kubernetes. */
export function policiesOf(labels: Readonly<Record<string, string>> | undefined): Record<Mode, Policy> {
  const policy = (mode: Mode): Policy => {
    const asked = labels?.[prefix + mode];
    const level = levels.find((name) => name === asked) ?? (asked === undefined || mode !== 'enforce' ? 'privileged' : 'restricted');
    const minor = versionPattern.exec(labels?.[`${prefix}${mode}-version`] ?? '')?.[1];
    return minor === undefined ? { level, version: 'latest', minor: newestMinor } : { level, version: `v1.${minor}`, minor: Number(minor) };
  };
  return { enforce: policy('enforce'), audit: policy('audit'), warn: policy('warn') };
}

/** Labels of a namespace that mean nothing. */
export function validatePolicyLabels(labels: Readonly<Record<string, string>> | undefined, errors: FieldErrors): void {
  for (const mode of modes) {
    const level = labels?.[prefix + mode];
    if (level !== undefined && !levels.some((name) => name === level)) errors.invalid(`metadata.labels[${prefix}${mode}]`, level, `must be one of ${levels.join(', ')}`);
    const version = labels?.[`${prefix}${mode}-version`];
    if (version !== undefined && version !== 'latest' && !versionPattern.test(version)) errors.invalid(`metadata.labels[${prefix}${mode}-version]`, version, 'must be "latest" or "v1.x"');
  }
}
