import { isDeepStrictEqual } from 'node:util';
import type { k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { validateIntOrPercent } from './deployment.ts';
import type { Strategy } from './kind.ts';
import { defaultTemplate, validateNonNegative, validateSelectorUpdate, validateTemplate } from './pod-template.ts';
import { defaultVolumeClaimSpec, validateVolumeClaimSpec } from './volume-claim.ts';

const changeable = ['replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy', 'minReadySeconds'] as const;

/** StatefulSets. */
export const statefulSetStrategy: Strategy<k8s.StatefulSet> = {
  defaults({ spec }) {
    if (spec === undefined) return;
    spec.replicas ??= 1;
    spec.revisionHistoryLimit ??= 10;
    spec.podManagementPolicy ||= 'OrderedReady';
    const strategy = (spec.updateStrategy ??= {});
    strategy.type ||= 'RollingUpdate';
    if (strategy.type === 'RollingUpdate') {
      strategy.rollingUpdate ??= {};
      strategy.rollingUpdate.partition ??= 0;
    }
    const retention = (spec.persistentVolumeClaimRetentionPolicy ??= {});
    retention.whenDeleted ??= 'Retain';
    retention.whenScaled ??= 'Retain';
    for (const claim of spec.volumeClaimTemplates ?? []) {
      claim.apiVersion ??= 'v1';
      claim.kind ??= 'PersistentVolumeClaim';
      if (claim.spec !== undefined) defaultVolumeClaimSpec(claim.spec);
    }
    defaultTemplate(spec.template);
  },
  validate({ spec }, errors) {
    if (spec === undefined) return errors.required('spec.selector');
    validateTemplate({ selector: spec.selector, template: withClaimVolumes(spec) }, errors);
    for (const field of ['replicas', 'minReadySeconds', 'revisionHistoryLimit'] as const) validateNonNegative(spec[field], `spec.${field}`, errors);
    validateNonNegative(spec.ordinals?.start, 'spec.ordinals.start', errors);
    const policies = ['OrderedReady', 'Parallel'];
    if (!policies.includes(spec.podManagementPolicy ?? '')) errors.unsupported('spec.podManagementPolicy', spec.podManagementPolicy, policies);
    validateUpdateStrategy(spec.updateStrategy ?? {}, errors);
    for (const when of ['whenDeleted', 'whenScaled'] as const) {
      const policy = spec.persistentVolumeClaimRetentionPolicy?.[when];
      if (policy !== undefined && policy !== 'Retain' && policy !== 'Delete') errors.unsupported(`spec.persistentVolumeClaimRetentionPolicy.${when}`, policy, ['Delete', 'Retain']);
    }
    for (const [index, claim] of (spec.volumeClaimTemplates ?? []).entries()) {
      if ((claim.metadata?.name ?? '') === '') errors.required(`spec.volumeClaimTemplates[${index}].metadata.name`);
      validateVolumeClaimSpec(claim.spec, `spec.volumeClaimTemplates[${index}].spec`, errors);
    }
  },
  validateUpdate({ spec }, old, errors) {
    if (spec === undefined || old.spec === undefined) return;
    const before: Record<string, unknown> = { ...old.spec };
    for (const field of changeable) before[field] = spec[field];
    if (isDeepStrictEqual(withoutUndefined(before), withoutUndefined({ ...spec }))) return;
    validateSelectorUpdate(spec.selector, old.spec.selector, errors);
    errors.forbidden('spec', `updates to statefulset spec for fields other than ${changeable.slice(0, -1).map((field) => `'${field}'`).join(', ')} and '${changeable.at(-1) ?? ''}' are forbidden`);
  },
};

/** The pods get a volume for each claim template, and containers may mount it. */
function withClaimVolumes({ template, volumeClaimTemplates = [] }: k8s.StatefulSetSpec): k8s.PodTemplateSpec {
  if (template.spec === undefined || volumeClaimTemplates.length === 0) return template;
  const own = new Set(volumeClaimTemplates.map(({ metadata }) => metadata?.name));
  const volumes = volumeClaimTemplates.map(({ metadata }): k8s.Volume => ({ name: metadata?.name ?? '', persistentVolumeClaim: { claimName: metadata?.name ?? '' } }));
  return { ...template, spec: { ...template.spec, volumes: [...(template.spec.volumes ?? []).filter(({ name }) => !own.has(name)), ...volumes] } };
}

function validateUpdateStrategy({ type, rollingUpdate }: k8s.StatefulSetUpdateStrategy, errors: FieldErrors): void {
  if (type !== 'OnDelete' && type !== 'RollingUpdate') return errors.unsupported('spec.updateStrategy.type', type, ['OnDelete', 'RollingUpdate']);
  if (type === 'OnDelete' && rollingUpdate !== undefined) errors.invalid('spec.updateStrategy.rollingUpdate', rollingUpdate, "only allowed for updateStrategy 'RollingUpdate'");
  validateNonNegative(rollingUpdate?.partition, 'spec.updateStrategy.rollingUpdate.partition', errors);
  validateIntOrPercent(rollingUpdate?.maxUnavailable, 'spec.updateStrategy.rollingUpdate.maxUnavailable', errors);
  if (rollingUpdate?.maxUnavailable === 0 || rollingUpdate?.maxUnavailable === '0%') errors.invalid('spec.updateStrategy.rollingUpdate.maxUnavailable', rollingUpdate.maxUnavailable, 'cannot be 0');
}

function withoutUndefined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
