import type { k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import type { Strategy } from './kind.ts';
import { defaultTemplate, validateNonNegative, validateSelectorUpdate, validateTemplate } from './pod-template.ts';

/** Deployments: rolling by default, a quarter at a time. */
export const deploymentStrategy: Strategy<k8s.Deployment> = {
  defaults({ spec }) {
    if (spec === undefined) return;
    spec.replicas ??= 1;
    spec.revisionHistoryLimit ??= 10;
    spec.progressDeadlineSeconds ??= 600;
    const strategy = (spec.strategy ??= {});
    strategy.type ||= 'RollingUpdate';
    if (strategy.type === 'RollingUpdate') {
      strategy.rollingUpdate ??= {};
      strategy.rollingUpdate.maxUnavailable ??= '25%';
      strategy.rollingUpdate.maxSurge ??= '25%';
    }
    defaultTemplate(spec.template);
  },
  validate({ spec }, errors) {
    if (spec === undefined) return errors.required('spec.selector');
    validateTemplate(spec, errors);
    for (const field of ['replicas', 'minReadySeconds', 'revisionHistoryLimit', 'progressDeadlineSeconds'] as const) validateNonNegative(spec[field], `spec.${field}`, errors);
    if ((spec.progressDeadlineSeconds ?? Infinity) <= (spec.minReadySeconds ?? 0)) errors.invalid('spec.progressDeadlineSeconds', spec.progressDeadlineSeconds, 'must be greater than minReadySeconds');
    validateStrategy(spec.strategy ?? {}, errors);
  },
  validateUpdate: ({ spec }, old, errors) => validateSelectorUpdate(spec?.selector, old.spec?.selector, errors),
};

function validateStrategy({ type, rollingUpdate }: k8s.DeploymentStrategy, errors: FieldErrors): void {
  if (type === 'Recreate') {
    if (rollingUpdate !== undefined) errors.forbidden('spec.strategy.rollingUpdate', "may not be specified when strategy `type` is 'Recreate'");
    return;
  }
  if (type !== 'RollingUpdate') return errors.unsupported('spec.strategy.type', type, ['Recreate', 'RollingUpdate']);
  const { maxSurge, maxUnavailable } = rollingUpdate ?? {};
  validateIntOrPercent(maxSurge, 'spec.strategy.rollingUpdate.maxSurge', errors);
  validateIntOrPercent(maxUnavailable, 'spec.strategy.rollingUpdate.maxUnavailable', errors);
  const isZero = (value: number | string | undefined): boolean => value === 0 || value === '0%';
  if (isZero(maxSurge) && isZero(maxUnavailable)) errors.invalid('spec.strategy.rollingUpdate.maxUnavailable', maxUnavailable, 'may not be 0 when `maxSurge` is 0');
  if (typeof maxUnavailable === 'string' && Number.parseInt(maxUnavailable, 10) > 100) errors.invalid('spec.strategy.rollingUpdate.maxUnavailable', maxUnavailable, 'must not be greater than 100%');
}

/** A count or a percentage. */
export function validateIntOrPercent(value: number | string | undefined, field: string, errors: FieldErrors): void {
  if (typeof value === 'number') return validateNonNegative(value, field, errors);
  if (typeof value === 'string' && !/^\d+%$/.test(value)) errors.invalid(field, value, "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')");
}
