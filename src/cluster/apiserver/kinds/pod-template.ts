import { isDeepStrictEqual } from 'node:util';
import { requirementsOf, selectorMatches, type k8s } from '../../../api/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { validateAnnotations } from '../validation/metadata.ts';
import { labelValueProblem, qualifiedNameProblem, validateLabels } from '../validation/names.ts';
import { defaultPodSpec } from './pod-defaults.ts';
import { validatePodSpec } from './pod-validation.ts';

/** Defaults of a workload's pod template. */
export function defaultTemplate(template: k8s.PodTemplateSpec | undefined): void {
  if (template?.spec !== undefined) defaultPodSpec(template.spec);
}

/** Checks the selector and template of a workload whose pods restart always (`restartPolicies` says otherwise). */
export function validateTemplate(spec: { selector: k8s.LabelSelector; template: k8s.PodTemplateSpec }, errors: FieldErrors, restartPolicies: readonly string[] = ['Always']): void {
  validateSelector(spec.selector, 'spec.selector', errors);
  validateTemplateOnly(spec.template, 'spec.template', errors, restartPolicies);
  if (isEmpty(spec.selector)) errors.invalid('spec.selector', spec.selector, 'empty selector is invalid for deployment');
  else if (!matches(spec.selector, spec.template.metadata?.labels)) errors.invalid('spec.template.metadata.labels', spec.template.metadata?.labels ?? null, '`selector` does not match template `labels`');
}

/** Checks a pod template at `at`. */
export function validateTemplateOnly(template: k8s.PodTemplateSpec, at: string, errors: FieldErrors, restartPolicies: readonly string[]): void {
  validateLabels(template.metadata?.labels, `${at}.metadata.labels`, errors);
  validateAnnotations(template.metadata?.annotations, `${at}.metadata.annotations`, errors);
  if (template.spec === undefined) return errors.required(`${at}.spec.containers`);
  validatePodSpec(template.spec, `${at}.spec`, errors);
  const policy = template.spec.restartPolicy ?? '';
  if (!restartPolicies.includes(policy)) errors.unsupported(`${at}.spec.restartPolicy`, policy, restartPolicies);
  if (template.spec.activeDeadlineSeconds !== undefined && restartPolicies[0] === 'Always') errors.forbidden(`${at}.spec.activeDeadlineSeconds`, 'activeDeadlineSeconds in ReplicaSet is not Supported');
}

/** Checks a label selector at `at`. */
export function validateSelector(selector: k8s.LabelSelector | undefined, at: string, errors: FieldErrors): void {
  for (const [key, value] of Object.entries(selector?.matchLabels ?? {})) {
    const keyProblem = qualifiedNameProblem(key);
    if (keyProblem !== undefined) errors.invalid(`${at}.matchLabels`, key, keyProblem);
    const valueProblem = labelValueProblem(value);
    if (valueProblem !== undefined) errors.invalid(`${at}.matchLabels`, value, valueProblem);
  }
  for (const [index, { key, operator, values = [] }] of (selector?.matchExpressions ?? []).entries()) {
    const place = `${at}.matchExpressions[${index}]`;
    const keyProblem = qualifiedNameProblem(key);
    if (keyProblem !== undefined) errors.invalid(`${place}.key`, key, keyProblem);
    if (operator === 'In' || operator === 'NotIn') {
      if (values.length === 0) errors.required(`${place}.values`, 'must be specified when `operator` is \'In\' or \'NotIn\'');
    } else if (operator === 'Exists' || operator === 'DoesNotExist') {
      if (values.length > 0) errors.forbidden(`${place}.values`, 'may not be specified when `operator` is \'Exists\' or \'DoesNotExist\'');
    } else errors.invalid(`${place}.operator`, operator, 'not a valid selector operator');
  }
}

/** The selector of a workload never changes. */
export function validateSelectorUpdate(selector: k8s.LabelSelector | undefined, old: k8s.LabelSelector | undefined, errors: FieldErrors): void {
  if (!isDeepStrictEqual(selector, old)) errors.invalid('spec.selector', selector ?? null, 'field is immutable');
}

/** `field: must be greater than or equal to 0`. */
export function validateNonNegative(value: number | undefined, field: string, errors: FieldErrors): void {
  if (value !== undefined && value < 0) errors.invalid(field, value, 'must be greater than or equal to 0');
}

function isEmpty(selector: k8s.LabelSelector): boolean {
  return (requirementsOfSafe(selector)?.length ?? 0) === 0;
}

function matches(selector: k8s.LabelSelector, labels: Record<string, string> | undefined): boolean {
  return requirementsOfSafe(selector) === undefined || selectorMatches(selector, labels);
}

/** An operator that does not exist has been reported already. */
function requirementsOfSafe(selector: k8s.LabelSelector): ReturnType<typeof requirementsOf> {
  try {
    return requirementsOf(selector);
  } catch (error) {
    if (isError(error, 'invalid')) return undefined;
    throw error;
  }
}
