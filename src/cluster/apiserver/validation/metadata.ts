import type { ApiObject } from '../kinds/kind.ts';
import type { FieldErrors } from './field-errors.ts';
import { nameProblem, type NameRule, qualifiedNameProblem, validateLabels } from './names.ts';

/** What all annotations of an object may hold together, in bytes. */
const maxAnnotationBytes = 256 * 1024;

/** Metadata of any object: name, namespace, labels, annotations, owners, finalizers. */
export function validateMetadata({ metadata }: ApiObject, isNamespaced: boolean, rule: NameRule, errors: FieldErrors): void {
  if (metadata.name === '') errors.required('metadata.name', 'name or generateName is required');
  else {
    const problem = nameProblem(rule, metadata.name);
    if (problem !== undefined) errors.invalid('metadata.name', metadata.name, problem);
  }
  if (isNamespaced && (metadata.namespace ?? '') === '') errors.required('metadata.namespace');
  if (!isNamespaced && (metadata.namespace ?? '') !== '') errors.forbidden('metadata.namespace', 'not allowed on this type');
  validateLabels(metadata.labels, 'metadata.labels', errors);
  validateAnnotations(metadata.annotations, 'metadata.annotations', errors);
  validateOwners(metadata.ownerReferences ?? [], errors);
  for (const finalizer of metadata.finalizers ?? []) {
    const problem = qualifiedNameProblem(finalizer);
    if (problem !== undefined) errors.invalid('metadata.finalizers', finalizer, problem);
  }
}

/** Annotations anywhere in an object. */
export function validateAnnotations(annotations: Readonly<Record<string, string>> | undefined, field: string, errors: FieldErrors): void {
  let sizeBytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    const problem = qualifiedNameProblem(key.toLowerCase());
    if (problem !== undefined) errors.invalid(field, key, problem);
    sizeBytes += key.length + value.length;
  }
  if (sizeBytes > maxAnnotationBytes) errors.tooLong(field, maxAnnotationBytes);
}

function validateOwners(owners: NonNullable<ApiObject['metadata']['ownerReferences']>, errors: FieldErrors): void {
  let controller: string | undefined;
  for (const [index, owner] of owners.entries()) {
    const at = `metadata.ownerReferences[${index}]`;
    if (!owner.apiVersion) errors.invalid(`${at}.apiVersion`, owner.apiVersion ?? '', 'version must not be empty');
    if (!owner.kind) errors.invalid(`${at}.kind`, owner.kind ?? '', 'must not be empty');
    if (!owner.name) errors.invalid(`${at}.name`, owner.name ?? '', 'must not be empty');
    if (!owner.uid) errors.invalid(`${at}.uid`, owner.uid ?? '', 'must not be empty');
    if (owner.controller !== true) continue;
    if (controller !== undefined) errors.invalid('metadata.ownerReferences', owners, `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${owner.kind}/${owner.name}`);
    controller ??= `${owner.kind}/${owner.name}`;
  }
}

/** What no update may change. */
export function validateMetadataUpdate({ metadata }: ApiObject, old: ApiObject, errors: FieldErrors): void {
  for (const field of ['name', 'namespace', 'uid', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const) {
    if ((metadata[field] ?? '') !== (old.metadata[field] ?? '')) errors.invalid(`metadata.${field}`, metadata[field] ?? null, 'field is immutable');
  }
  if (old.metadata.deletionTimestamp === undefined) return;
  const added = (metadata.finalizers ?? []).filter((finalizer) => !old.metadata.finalizers?.includes(finalizer));
  if (added.length > 0) errors.forbidden('metadata.finalizers', `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((item) => JSON.stringify(item)).join(', ')}}`);
}
