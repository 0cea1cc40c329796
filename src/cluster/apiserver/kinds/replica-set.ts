import type { k8s } from '../../../api/mod.ts';
import type { Strategy } from './kind.ts';
import { defaultTemplate, validateNonNegative, validateSelectorUpdate, validateTemplate } from './pod-template.ts';

/** ReplicaSets. */
export const replicaSetStrategy: Strategy<k8s.ReplicaSet> = {
  defaults({ spec }) {
    if (spec === undefined) return;
    spec.replicas ??= 1;
    defaultTemplate(spec.template);
  },
  prepareCreate(replicaSet) {
    replicaSet.status = { replicas: 0 };
  },
  validate({ spec }, errors) {
    if (spec === undefined) return errors.required('spec.selector');
    if (spec.template === undefined) return errors.required('spec.template');
    validateTemplate({ selector: spec.selector, template: spec.template }, errors);
    validateNonNegative(spec.replicas, 'spec.replicas', errors);
    validateNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors);
  },
  validateUpdate: ({ spec }, old, errors) => validateSelectorUpdate(spec?.selector, old.spec?.selector, errors),
};
