import { isDeepStrictEqual } from 'node:util';
import { parseQuantity, quantityValue, type k8s } from '../../../api/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { nameProblem } from '../validation/names.ts';
import type { PrepareContext, Strategy } from './kind.ts';
import { checkClaimLimits } from './limit-range.ts';
import { validateSelector } from './pod-template.ts';

const accessModes = ['ReadWriteOnce', 'ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOncePod'];
const defaultClassAnnotation = 'storageclass.kubernetes.io/is-default-class';

/** Keeps a claim that a pod uses; the controller takes it off. */
export const claimProtection = 'kubernetes.io/pvc-protection';

/** PersistentVolumeClaims. One that names no class gets the default one. */
export const volumeClaimStrategy: Strategy<k8s.PersistentVolumeClaim> = {
  defaults({ spec }) {
    if (spec !== undefined) defaultVolumeClaimSpec(spec);
  },
  prepareCreate(claim, context) {
    const { metadata = {}, spec } = claim;
    if (spec !== undefined) spec.storageClassName ??= defaultClass(context);
    if (spec?.storageClassName === undefined) delete spec?.storageClassName;
    checkClaimLimits(claim, context);
    metadata.finalizers = [...new Set([...(metadata.finalizers ?? []), claimProtection])];
    claim.status = { phase: 'Pending' };
  },
  validate: ({ spec }, errors) => validateVolumeClaimSpec(spec, 'spec', errors),
  validateUpdate({ spec, metadata }, old, errors) {
    if (spec === undefined || old.spec === undefined) return;
    const before = structuredClone(old.spec);
    // Bound by the controller, grown by the user, given a class while it has none.
    if (before.volumeName === undefined) before.volumeName = spec.volumeName;
    if (before.storageClassName === undefined) before.storageClassName = spec.storageClassName;
    const [size, oldSize] = [spec.resources?.requests?.['storage'], old.spec.resources?.requests?.['storage']];
    if (size !== undefined && oldSize !== undefined && quantityValue(size) !== quantityValue(oldSize)) errors.forbidden('spec.resources.requests.storage', 'volumes of this cluster cannot be resized');
    else if (!isDeepStrictEqual(JSON.parse(JSON.stringify(spec)), JSON.parse(JSON.stringify(before)))) errors.forbidden('spec', `spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims (${metadata?.name ?? ''})`);
  },
};

/** What a claim's spec gets where nothing is said; also inside a StatefulSet. */
export function defaultVolumeClaimSpec(spec: k8s.PersistentVolumeClaimSpec): void {
  spec.volumeMode ??= 'Filesystem';
}

/** Checks a claim's spec at `at`. */
export function validateVolumeClaimSpec(spec: k8s.PersistentVolumeClaimSpec | undefined, at: string, errors: FieldErrors): void {
  if (spec === undefined) return errors.required(at);
  if ((spec.accessModes ?? []).length === 0) errors.required(`${at}.accessModes`, 'at least 1 access mode is required');
  for (const [index, mode] of (spec.accessModes ?? []).entries()) if (!accessModes.includes(mode)) errors.unsupported(`${at}.accessModes[${index}]`, mode, accessModes);
  if (spec.accessModes?.includes('ReadWriteOncePod') === true && spec.accessModes.length > 1) errors.forbidden(`${at}.accessModes`, 'may not use ReadWriteOncePod with other access modes');
  validateStorage(spec.resources?.requests?.['storage'], `${at}.resources.requests[storage]`, errors);
  if (spec.selector !== undefined) validateSelector(spec.selector, `${at}.selector`, errors);
  const problem = spec.storageClassName === undefined || spec.storageClassName === '' ? undefined : nameProblem('subdomain', spec.storageClassName);
  if (problem !== undefined) errors.invalid(`${at}.storageClassName`, spec.storageClassName, problem);
  if (spec.volumeMode !== undefined && !['Block', 'Filesystem'].includes(spec.volumeMode)) errors.unsupported(`${at}.volumeMode`, spec.volumeMode, ['Block', 'Filesystem']);
}

/** A size that is a size. */
export function validateStorage(amount: string | undefined, at: string, errors: FieldErrors): void {
  if (amount === undefined) return errors.required(at);
  try {
    parseQuantity(amount);
    if (quantityValue(amount) <= 0) errors.invalid(at, amount, 'must be greater than zero');
  } catch (error) {
    if (!isError(error, 'invalid')) throw error;
    errors.invalid(at, amount, error.message);
  }
}

/** Checks a list of access modes at `at`. */
export function validateAccessModes(modes: readonly string[] | undefined, at: string, errors: FieldErrors): void {
  if ((modes ?? []).length === 0) errors.required(at);
  for (const [index, mode] of (modes ?? []).entries()) if (!accessModes.includes(mode)) errors.unsupported(`${at}[${index}]`, mode, accessModes);
}

/** Of several default classes the newest counts, as in Kubernetes. */
function defaultClass(context: PrepareContext): string | undefined {
  const classes = [...context.list({ group: 'storage.k8s.io', version: 'v1', plural: 'storageclasses', kind: 'StorageClass', isNamespaced: false })];
  const defaults = classes.filter(({ metadata }) => metadata.annotations?.[defaultClassAnnotation] === 'true');
  return defaults.toSorted((a, b) => (a.metadata.creationTimestamp > b.metadata.creationTimestamp ? -1 : 1))[0]?.metadata.name;
}
