import type { k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { validateIntOrPercent } from './deployment.ts';
import type { Strategy } from './kind.ts';
import { defaultTemplate, validateNonNegative, validateSelectorUpdate, validateTemplate } from './pod-template.ts';

/** DaemonSets. */
export const daemonSetStrategy: Strategy<k8s.DaemonSet> = {
  defaults({ spec }) {
    if (spec === undefined) return;
    spec.revisionHistoryLimit ??= 10;
    const strategy = (spec.updateStrategy ??= {});
    strategy.type ||= 'RollingUpdate';
    if (strategy.type === 'RollingUpdate') {
      const rolling = (strategy.rollingUpdate ??= {});
      rolling.maxSurge ??= 0;
      rolling.maxUnavailable ??= rolling.maxSurge === 0 || rolling.maxSurge === '0%' ? 1 : 0;
    }
    defaultTemplate(spec.template);
  },
  validate({ spec }, errors) {
    if (spec === undefined) return errors.required('spec.selector');
    validateTemplate(spec, errors);
    for (const field of ['minReadySeconds', 'revisionHistoryLimit'] as const) validateNonNegative(spec[field], `spec.${field}`, errors);
    validateUpdateStrategy(spec.updateStrategy ?? {}, errors);
  },
  validateUpdate: ({ spec }, old, errors) => validateSelectorUpdate(spec?.selector, old.spec?.selector, errors),
};

function validateUpdateStrategy({ type, rollingUpdate }: k8s.DaemonSetUpdateStrategy, errors: FieldErrors): void {
  if (type !== 'OnDelete' && type !== 'RollingUpdate') return errors.unsupported('spec.updateStrategy.type', type, ['OnDelete', 'RollingUpdate']);
  if (type === 'OnDelete') return;
  const at = 'spec.updateStrategy.rollingUpdate';
  const { maxSurge, maxUnavailable } = rollingUpdate ?? {};
  validateIntOrPercent(maxUnavailable, `${at}.maxUnavailable`, errors);
  validateIntOrPercent(maxSurge, `${at}.maxSurge`, errors);
  const isZero = (value: number | string | undefined): boolean => value === undefined || value === 0 || value === '0%';
  if (isZero(maxUnavailable) && isZero(maxSurge)) errors.required(`${at}.maxUnavailable`, 'cannot be 0 when maxSurge is 0');
  if (!isZero(maxUnavailable) && !isZero(maxSurge)) errors.invalid(`${at}.maxSurge`, maxSurge, 'may not be set when maxUnavailable is non-zero');
}
