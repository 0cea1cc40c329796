import { isDeepStrictEqual } from 'node:util';
import type { k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { validateJobPolicies } from './job-policies.ts';
import type { Strategy } from './kind.ts';
import { defaultTemplate, validateNonNegative, validateSelector, validateTemplateOnly } from './pod-template.ts';

/** Labels that tie a Job's pods to it; the older names are still read by people's scripts. */
const uidLabels = ['batch.kubernetes.io/controller-uid', 'controller-uid'];
const nameLabels = ['batch.kubernetes.io/job-name', 'job-name'];

/** What an Indexed Job may have at most, so that its index lists stay readable. */
const maxParallelismForIndexed = 100_000;

/** Jobs: work that ends. The selector is made by the server unless `manualSelector` says otherwise. */
export const jobStrategy: Strategy<k8s.Job> = {
  defaults: ({ spec }) => defaultJobSpec(spec),
  prepareCreate({ metadata = {}, spec }) {
    if (spec?.template === undefined || spec.manualSelector === true) return;
    const { uid = '', name = '' } = metadata;
    const template = (spec.template.metadata ??= {});
    const labels = (template.labels ??= {});
    for (const label of uidLabels) labels[label] = uid;
    for (const label of nameLabels) labels[label] = name;
    spec.selector ??= {};
    spec.selector.matchLabels = { ...spec.selector.matchLabels, 'batch.kubernetes.io/controller-uid': uid };
  },
  validate({ spec }, errors) {
    if (spec === undefined) return errors.required('spec.template');
    validateJobSpec(spec, 'spec', errors);
    if (spec.selector === undefined) errors.required('spec.selector');
    else validateSelector(spec.selector, 'spec.selector', errors);
  },
  validateUpdate({ spec }, old, errors) {
    if (spec === undefined || old.spec === undefined) return;
    validateCompletions(spec, old.spec, errors);
    for (const field of ['selector', 'completionMode', 'podFailurePolicy', 'backoffLimitPerIndex', 'managedBy', 'successPolicy'] as const) {
      if (!isDeepStrictEqual(spec[field], old.spec[field])) errors.invalid(`spec.${field}`, spec[field] ?? null, 'field is immutable');
    }
    const isStopped = old.spec.suspend === true && old.status?.startTime === undefined;
    const before = isStopped ? withSchedulingOf(old.spec.template, spec.template) : old.spec.template;
    if (!isDeepStrictEqual(spec.template, before)) errors.invalid('spec.template', '…', 'field is immutable');
  },
};

/** Defaults of a Job, also inside a CronJob. */
export function defaultJobSpec(spec: k8s.JobSpec | undefined): void {
  if (spec === undefined) return;
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? 6 : 2_147_483_647;
  spec.completionMode ??= 'NonIndexed';
  spec.suspend ??= false;
  spec.manualSelector ??= false;
  spec.podReplacementPolicy ??= spec.podFailurePolicy === undefined ? 'TerminatingOrFailed' : 'Failed';
  for (const rule of spec.podFailurePolicy?.rules ?? []) for (const pattern of rule.onPodConditions ?? []) pattern.status ??= 'True';
  defaultTemplate(spec.template);
}

/** Checks a Job's spec at `at`, without its selector. */
export function validateJobSpec(spec: k8s.JobSpec, at: string, errors: FieldErrors): void {
  for (const field of ['parallelism', 'completions', 'activeDeadlineSeconds', 'backoffLimit', 'ttlSecondsAfterFinished', 'backoffLimitPerIndex', 'maxFailedIndexes'] as const) validateNonNegative(spec[field], `${at}.${field}`, errors);
  const modes = ['Indexed', 'NonIndexed'];
  if (!modes.includes(spec.completionMode ?? '')) errors.unsupported(`${at}.completionMode`, spec.completionMode, modes);
  if (spec.completionMode === 'Indexed') {
    if (spec.completions === undefined) errors.required(`${at}.completions`, 'when completion mode is Indexed');
    if ((spec.parallelism ?? 0) > maxParallelismForIndexed) errors.invalid(`${at}.parallelism`, spec.parallelism, `must be less than or equal to ${maxParallelismForIndexed} when completion mode is Indexed`);
  } else {
    if (spec.backoffLimitPerIndex !== undefined) errors.invalid(`${at}.backoffLimitPerIndex`, spec.backoffLimitPerIndex, 'requires indexed completion mode');
    if (spec.successPolicy !== undefined) errors.invalid(`${at}.successPolicy`, spec.successPolicy, 'requires indexed completion mode');
  }
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined) errors.required(`${at}.backoffLimitPerIndex`, 'when maxFailedIndexes is specified');
  if (spec.maxFailedIndexes !== undefined && spec.completions !== undefined && spec.maxFailedIndexes > spec.completions) errors.invalid(`${at}.maxFailedIndexes`, spec.maxFailedIndexes, 'must be less than or equal to completions');
  const replacement = ['Failed', 'TerminatingOrFailed'];
  if (spec.podReplacementPolicy !== undefined && !replacement.includes(spec.podReplacementPolicy)) errors.unsupported(`${at}.podReplacementPolicy`, spec.podReplacementPolicy, replacement);
  validateTemplateOnly(spec.template, `${at}.template`, errors, ['OnFailure', 'Never']);
  validateJobPolicies(spec, at, errors);
}

/** Only an Indexed Job may grow or shrink, and only both numbers together ("elastic indexed jobs"). */
function validateCompletions(spec: k8s.JobSpec, old: k8s.JobSpec, errors: FieldErrors): void {
  if (spec.completions === old.completions) return;
  const isElastic = old.completionMode === 'Indexed' && spec.completions !== undefined && spec.completions === spec.parallelism && old.completions === old.parallelism;
  if (!isElastic) errors.invalid('spec.completions', spec.completions ?? null, 'field is immutable');
}

/** The old template with what may still change before a suspended Job begins: where its pods go, and how they are labelled. */
function withSchedulingOf(old: k8s.PodTemplateSpec, { metadata, spec }: k8s.PodTemplateSpec): k8s.PodTemplateSpec {
  const merged = structuredClone(old);
  const oldMetadata = { ...merged.metadata };
  for (const field of ['labels', 'annotations'] as const) {
    if (metadata?.[field] === undefined) delete oldMetadata[field];
    else oldMetadata[field] = metadata[field];
  }
  merged.metadata = oldMetadata;
  if (merged.spec === undefined) return merged;
  for (const field of ['nodeSelector', 'tolerations', 'schedulingGates'] as const) {
    if (spec?.[field] === undefined) delete merged.spec[field];
    else Object.assign(merged.spec, { [field]: spec[field] });
  }
  const affinity = spec?.affinity?.nodeAffinity;
  if (affinity !== undefined) merged.spec.affinity = { ...merged.spec.affinity, nodeAffinity: affinity };
  return merged;
}
