import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../../api/mod.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import { cronJobStrategy } from './cron-job.ts';
import { jobStrategy } from './job.ts';

const podSpec = { restartPolicy: 'Never', containers: [{ name: 'app', image: 'app:1' }] };

function jobOf(spec: object = {}, pod: object = podSpec): k8s.Job {
  const job = { metadata: { name: 'work', uid: 'u' }, spec: { template: { spec: pod }, ...spec } } as unknown as k8s.Job;
  jobStrategy.defaults?.(job);
  jobStrategy.prepareCreate?.(job, undefined as never);
  return job;
}

function problems(job: k8s.Job): string[] {
  const errors = new FieldErrors();
  jobStrategy.validate?.(job, errors);
  return errors.places.map(({ field, message }) => `${field ?? ''}: ${message}`);
}

test('a Job gets its defaults, its selector and its labels', () => {
  const { spec } = jobOf();
  assert.deepEqual([spec?.completions, spec?.parallelism, spec?.backoffLimit, spec?.completionMode, spec?.podReplacementPolicy], [1, 1, 6, 'NonIndexed', 'TerminatingOrFailed']);
  assert.deepEqual(spec?.selector, { matchLabels: { 'batch.kubernetes.io/controller-uid': 'u' } });
  assert.deepEqual(Object.keys(spec.template.metadata?.labels ?? {}).toSorted(), ['batch.kubernetes.io/controller-uid', 'batch.kubernetes.io/job-name', 'controller-uid', 'job-name']);
  assert.deepEqual(problems(jobOf()), []);
});

test('a Job is refused with the place of what is wrong', () => {
  const cases: [object, string][] = [
    [{ completionMode: 'Indexed', parallelism: 2 }, 'spec.completions: Required value: when completion mode is Indexed'],
    [{ backoffLimitPerIndex: 1 }, 'spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode'],
    [{ parallelism: -1 }, 'spec.parallelism: Invalid value: -1: must be greater than or equal to 0'],
    [{ podFailurePolicy: { rules: [{ action: 'FailIndex', onExitCodes: { operator: 'In', values: [1] } }] } }, 'spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set'],
    [{ podFailurePolicy: { rules: [{ action: 'Ignore', onExitCodes: { operator: 'In', values: [0] } }] } }, 'spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator'],
    [{ completionMode: 'Indexed', completions: 3, successPolicy: { rules: [{ succeededIndexes: '1-9' }] } }, 'spec.successPolicy.rules[0].succeededIndexes: Invalid value: "1-9": must be a list of indexes and intervals below 3'],
  ];
  for (const [spec, problem] of cases) assert.deepEqual(problems(jobOf(spec)), [problem]);
  assert.deepEqual(problems(jobOf({}, { containers: podSpec.containers })), ['spec.template.spec.restartPolicy: Unsupported value: "Always": supported values: "Never", "OnFailure"']);
});

test('of a Job hardly anything can change', () => {
  const cases: [k8s.Job, k8s.Job, string[]][] = [
    [jobOf({ parallelism: 2, completions: 3 }), jobOf({ parallelism: 5, completions: 3 }), []],
    [jobOf({ completions: 3 }), jobOf({ completions: 4 }), ['spec.completions']],
    [jobOf({ completionMode: 'Indexed', completions: 3, parallelism: 3 }), jobOf({ completionMode: 'Indexed', completions: 5, parallelism: 5 }), []],
    [jobOf(), jobOf({}, { ...podSpec, nodeSelector: { a: 'b' } }), ['spec.template']],
    [jobOf({ suspend: true }), jobOf({ suspend: true }, { ...podSpec, nodeSelector: { a: 'b' } }), []],
    [jobOf({ suspend: true }), jobOf({ suspend: true }, { ...podSpec, containers: [{ name: 'app', image: 'app:2' }] }), ['spec.template']],
  ];
  for (const [old, job, fields] of cases) {
    const errors = new FieldErrors();
    jobStrategy.validateUpdate?.(job, old, errors);
    assert.deepEqual(errors.places.map(({ field }) => field), fields);
  }
});

test('a CronJob is refused with the place of what is wrong', () => {
  const cronJobOf = (spec: object): k8s.CronJob => {
    const cronJob = { metadata: { name: 'tick' }, spec: { schedule: '0 * * * *', jobTemplate: { spec: { template: { spec: podSpec } } }, ...spec } } as unknown as k8s.CronJob;
    cronJobStrategy.defaults?.(cronJob);
    return cronJob;
  };
  const cases: [object, string | undefined][] = [
    [{}, undefined],
    [{ timeZone: 'Europe/Berlin', concurrencyPolicy: 'Forbid' }, undefined],
    [{ timeZone: 'Mars/Olympus' }, 'spec.timeZone: Invalid value: "Mars/Olympus": unknown time zone'],
    [{ schedule: '0 * * *' }, 'spec.schedule: Invalid value: "0 * * *": expected exactly 5 fields, found 4: "0 * * *"'],
    [{ concurrencyPolicy: 'Sometimes' }, 'spec.concurrencyPolicy: Unsupported value: "Sometimes": supported values: "Allow", "Forbid", "Replace"'],
  ];
  for (const [spec, problem] of cases) {
    const errors = new FieldErrors();
    cronJobStrategy.validate?.(cronJobOf(spec), errors);
    assert.deepEqual(errors.places.map(({ field, message }) => `${field ?? ''}: ${message}`), problem === undefined ? [] : [problem]);
  }
});
