import { objectInvalid } from '../errors.ts';
import type { ApiObject, Kind } from '../kinds/kind.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import { validateMetadata, validateMetadataUpdate } from '../validation/metadata.ts';
import { validateRequired } from '../validation/required.ts';
import type { WriteOptions } from './machine.ts';

/** Validates an object that is about to be stored, against the one it replaces if any. 422 with every problem. */
export function checkObject(kind: Kind, object: ApiObject, old: ApiObject | undefined, options: Pick<WriteOptions, 'warnings'>): void {
  const errors = new FieldErrors();
  validateMetadata(object, kind.type.isNamespaced, kind.nameRule, errors);
  if (old !== undefined) validateMetadataUpdate(object, old, errors);
  if (!kind.isCustom) validateRequired(kind.node, object, errors);
  kind.strategy.validate?.(object, errors);
  if (old !== undefined) kind.strategy.validateUpdate?.(object, old, errors);
  if (errors.places.length > 0) throw objectInvalid(kind.type, object.metadata.name, errors.places);
  options.warnings.push(...(kind.strategy.warnings?.(object) ?? []));
}
