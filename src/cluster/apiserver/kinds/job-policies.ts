import { parseIndexes, type k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';

const maxRules = 20;
const maxExitCodes = 255;

/** Checks the failure and success policies of a Job's spec at `at`. */
export function validateJobPolicies(spec: k8s.JobSpec, at: string, errors: FieldErrors): void {
  if (spec.podFailurePolicy !== undefined) validateFailurePolicy(spec, `${at}.podFailurePolicy`, errors);
  if (spec.successPolicy !== undefined && spec.completionMode === 'Indexed') validateSuccessPolicy(spec, `${at}.successPolicy`, errors);
}

function validateFailurePolicy({ podFailurePolicy, template, backoffLimitPerIndex, podReplacementPolicy }: k8s.JobSpec, at: string, errors: FieldErrors): void {
  if (template.spec?.restartPolicy !== 'Never') errors.invalid(at, '', 'only "Never" is supported for restartPolicy when podFailurePolicy is specified');
  if (podReplacementPolicy !== undefined && podReplacementPolicy !== 'Failed') errors.unsupported('spec.podReplacementPolicy', podReplacementPolicy, ['Failed']);
  const rules = podFailurePolicy?.rules ?? [];
  if (rules.length > maxRules) errors.tooMany(`${at}.rules`, rules.length, maxRules);
  const names = new Set([...(template.spec?.containers ?? []), ...(template.spec?.initContainers ?? [])].map(({ name }) => name));
  const actions = ['Count', 'FailIndex', 'FailJob', 'Ignore'];
  for (const [index, rule] of rules.entries()) {
    const place = `${at}.rules[${index}]`;
    if (!actions.includes(rule.action)) errors.unsupported(`${place}.action`, rule.action, actions);
    if (rule.action === 'FailIndex' && backoffLimitPerIndex === undefined) errors.invalid(`${place}.action`, rule.action, 'requires the backoffLimitPerIndex to be set');
    const hasConditions = (rule.onPodConditions?.length ?? 0) > 0;
    if (rule.onExitCodes !== undefined && hasConditions) errors.invalid(place, '', 'specifying both OnExitCodes and OnPodConditions is not supported');
    if (rule.onExitCodes === undefined && !hasConditions) errors.invalid(place, '', 'specifying one of OnExitCodes and OnPodConditions is required');
    if (rule.onExitCodes !== undefined) validateExitCodes(rule.onExitCodes, `${place}.onExitCodes`, names, errors);
    for (const [number, { status }] of (rule.onPodConditions ?? []).entries()) {
      const values = ['False', 'True', 'Unknown'];
      if (!values.includes(status ?? '')) errors.unsupported(`${place}.onPodConditions[${number}].status`, status, values);
    }
  }
}

function validateExitCodes({ containerName, operator, values }: k8s.PodFailurePolicyOnExitCodesRequirement, at: string, names: ReadonlySet<string>, errors: FieldErrors): void {
  if (containerName !== undefined && !names.has(containerName)) errors.invalid(`${at}.containerName`, containerName, 'must be one of the container or initContainer names in the pod template');
  if (!['In', 'NotIn'].includes(operator)) errors.unsupported(`${at}.operator`, operator, ['In', 'NotIn']);
  if (values.length === 0) errors.invalid(`${at}.values`, values, 'at least one value is required');
  if (values.length > maxExitCodes) errors.tooMany(`${at}.values`, values.length, maxExitCodes);
  for (const [index, value] of values.entries()) {
    if (operator === 'In' && value === 0) errors.invalid(`${at}.values[${index}]`, value, 'must not be 0 for the In operator');
    if (values.indexOf(value) !== index) errors.duplicate(`${at}.values[${index}]`, value);
    if (index > 0 && value < (values[index - 1] ?? 0)) errors.invalid(`${at}.values`, values, 'must be ordered');
  }
}

function validateSuccessPolicy({ successPolicy, completions = 0 }: k8s.JobSpec, at: string, errors: FieldErrors): void {
  const rules = successPolicy?.rules ?? [];
  if (rules.length === 0) errors.required(`${at}.rules`, 'at least one rules must be specified when the successPolicy is specified');
  if (rules.length > maxRules) errors.tooMany(`${at}.rules`, rules.length, maxRules);
  for (const [index, { succeededCount, succeededIndexes }] of rules.entries()) {
    const place = `${at}.rules[${index}]`;
    if (succeededCount === undefined && succeededIndexes === undefined) errors.required(place, 'at least one of succeededCount or succeededIndexes must be specified');
    const indexes = succeededIndexes === undefined ? undefined : parseIndexes(succeededIndexes);
    if (succeededIndexes !== undefined && (indexes === undefined || [...indexes].some((one) => one >= completions))) errors.invalid(`${place}.succeededIndexes`, succeededIndexes, `must be a list of indexes and intervals below ${completions}`);
    if (succeededCount === undefined) continue;
    if (succeededCount <= 0) errors.invalid(`${place}.succeededCount`, succeededCount, 'must be greater than 0');
    if (succeededCount > completions) errors.invalid(`${place}.succeededCount`, succeededCount, `must be less than or equal to ${completions} (the number of specified completions)`);
    if (indexes !== undefined && succeededCount > indexes.size) errors.invalid(`${place}.succeededCount`, succeededCount, `must be less than or equal to ${indexes.size} (the number of indexes in the specified succeededIndexes field)`);
  }
}
