import { objectInvalid } from '../errors.ts';
import { checkUnhonoured } from '../fields/check-fields.ts';
import type { ApiObject, Kind } from '../kinds/kind.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import { validateMetadata, validateMetadataUpdate } from '../validation/metadata.ts';
import { validateRequired } from '../validation/required.ts';
import type { WriteOptions } from './machine.ts';

/** What an object that is about to be stored is checked against. */
export interface CheckContext {
  /** What it replaces. */
  readonly old?: ApiObject;
  /** Whether the rules of what may change apply: not for the server's own subresources. */
  readonly isUpdateChecked: boolean;
  /** What preparation found already. */
  readonly problems: FieldErrors;
}

/** Validates an object that is about to be stored. 422 with every problem. */
export function checkObject(kind: Kind, object: ApiObject, { old, isUpdateChecked, problems }: CheckContext, options: Pick<WriteOptions, 'warnings'>): void {
  const errors = new FieldErrors();
  errors.places.push(...problems.places);
  validateMetadata(object, kind.type.isNamespaced, kind.nameRule, errors);
  if (old !== undefined && isUpdateChecked) validateMetadataUpdate(object, old, errors);
  const found = errors.places.length;
  if (!kind.isCustom) validateRequired(kind.node, object, errors);
  // A kind's own rules may rely on its required fields being there.
  if (errors.places.length === found) {
    if (!kind.isCustom) checkUnhonoured(kind.node, object, old, { errors, warnings: options.warnings });
    kind.strategy.validate?.(object, errors, old, options.warnings);
    if (old !== undefined && isUpdateChecked) kind.strategy.validateUpdate?.(object, old, errors);
  }
  if (errors.places.length > 0) throw objectInvalid(kind.type, object.metadata.name, errors.places);
  options.warnings.push(...finalizerWarnings(object, old), ...(kind.strategy.warnings?.(object) ?? []));
}

/** The finalizers of Kubernetes itself, which have no path. */
const plainFinalizers = new Set(['kubernetes', 'orphan', 'foregroundDeletion', 'customresourcecleanup.apiextensions.k8s.io']);

function finalizerWarnings({ metadata }: ApiObject, old: ApiObject | undefined): string[] {
  const had = new Set(old?.metadata.finalizers);
  return (metadata.finalizers ?? []).flatMap((finalizer) =>
    finalizer.includes('/') || plainFinalizers.has(finalizer) || had.has(finalizer) ? [] : [`metadata.finalizers: ${JSON.stringify(finalizer)}: prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers`],
  );
}
