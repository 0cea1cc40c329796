import { isTimeZone, parseCronSchedule, type k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { defaultJobSpec, validateJobSpec } from './job.ts';
import type { Strategy } from './kind.ts';
import { validateNonNegative } from './pod-template.ts';

/** So that a Job's name, which adds the time, is still a name for its pods. */
const maxNameLength = 52;

/** CronJobs. */
export const cronJobStrategy: Strategy<k8s.CronJob> = {
  defaults({ spec }) {
    if (spec === undefined) return;
    spec.concurrencyPolicy ??= 'Allow';
    spec.suspend ??= false;
    spec.successfulJobsHistoryLimit ??= 3;
    spec.failedJobsHistoryLimit ??= 1;
    defaultJobSpec(spec.jobTemplate?.spec);
  },
  validate({ metadata, spec }, errors) {
    const name = metadata?.name ?? '';
    if (name.length > maxNameLength) errors.invalid('metadata.name', name, `must be no more than ${maxNameLength} characters`);
    validateSchedule(spec, errors);
    const policies = ['Allow', 'Forbid', 'Replace'];
    if (!policies.includes(spec.concurrencyPolicy ?? '')) errors.unsupported('spec.concurrencyPolicy', spec.concurrencyPolicy, policies);
    for (const field of ['startingDeadlineSeconds', 'successfulJobsHistoryLimit', 'failedJobsHistoryLimit'] as const) validateNonNegative(spec[field], `spec.${field}`, errors);
    if (spec.jobTemplate.spec === undefined) return errors.required('spec.jobTemplate.spec.template');
    if (spec.jobTemplate.spec.manualSelector === true) errors.unsupported('spec.jobTemplate.spec.manualSelector', true, ['nil', 'false']);
    if (spec.jobTemplate.spec.selector !== undefined) errors.invalid('spec.jobTemplate.spec.selector', spec.jobTemplate.spec.selector, '`selector` will be auto-generated');
    validateJobSpec(spec.jobTemplate.spec, 'spec.jobTemplate.spec', errors);
  },
};

function validateSchedule({ schedule, timeZone }: k8s.CronJobSpec, errors: FieldErrors): void {
  if (timeZone !== undefined && !isTimeZone(timeZone)) return errors.invalid('spec.timeZone', timeZone, 'unknown time zone');
  if (schedule === '') return errors.required('spec.schedule');
  const parsed = parseCronSchedule(schedule, timeZone);
  if (typeof parsed === 'string') errors.invalid('spec.schedule', schedule, parsed);
}
