import { GantryError } from '../../../kernel/mod.ts';
import { type ApiObject, apiVersionOfKind, type Kind } from '../kinds/kind.ts';
import { objectInvalid } from '../errors.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import type { Machine } from './machine.ts';

/** The object as a kind's version shows it. Versions without a conversion differ only in apiVersion. */
export function inVersion(kind: Kind, object: ApiObject): ApiObject {
  if (kind.conversion !== undefined) return kind.conversion.fromStored(object);
  const apiVersion = apiVersionOfKind(kind);
  return object.apiVersion === apiVersion ? object : { ...object, apiVersion };
}

/** Refuses a new object for what only its own version demands. 422 with every problem. */
export function validateVersion(kind: Kind, object: ApiObject): void {
  const errors = new FieldErrors();
  kind.conversion?.validateCreate?.(object, errors);
  if (errors.places.length > 0) throw objectInvalid(kind.type, object.metadata.name, errors.places);
}

/** An object as the version it came in, made the one that is stored: everything after decoding works on that. */
export function toStored(machine: Machine, kind: Kind, object: ApiObject): { kind: Kind; object: ApiObject } {
  if (kind.conversion === undefined) return { kind, object };
  const stored = machine.kinds.findStored(kind.storageGroup, kind.type.plural);
  if (stored === undefined) throw new GantryError('internal', `${kind.type.plural} has no stored version`);
  const converted = kind.conversion.toStored(object);
  stored.strategy.defaults?.(converted);
  return { kind: stored, object: converted };
}
