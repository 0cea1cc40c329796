import type { ErrorPlace } from '../../../kernel/mod.ts';

/** Collects what is wrong with an object, in the words and with the field paths of Kubernetes' own validation. */
export class FieldErrors {
  readonly places: ErrorPlace[] = [];

  required(field: string, detail = ''): void {
    this.#add('FieldValueRequired', field, detail === '' ? 'Required value' : `Required value: ${detail}`);
  }

  invalid(field: string, value: unknown, detail: string): void {
    this.#add('FieldValueInvalid', field, `Invalid value: ${shown(value)}: ${detail}`);
  }

  typeInvalid(field: string, value: unknown, detail: string): void {
    this.#add('FieldValueTypeInvalid', field, `Invalid value: ${shown(value)}: ${detail}`);
  }

  unsupported(field: string, value: unknown, supported: readonly unknown[]): void {
    this.#add('FieldValueNotSupported', field, `Unsupported value: ${shown(value)}: supported values: ${supported.map(shown).toSorted().join(', ')}`);
  }

  duplicate(field: string, value: unknown): void {
    this.#add('FieldValueDuplicate', field, `Duplicate value: ${shown(value)}`);
  }

  forbidden(field: string, detail: string): void {
    this.#add('FieldValueForbidden', field, `Forbidden: ${detail}`);
  }

  notFound(field: string, value: unknown): void {
    this.#add('FieldValueNotFound', field, `Not found: ${shown(value)}`);
  }

  tooLong(field: string, maxLength: number): void {
    this.#add('FieldValueTooLong', field, `Too long: may not be more than ${maxLength} bytes`);
  }

  tooMany(field: string, count: number, max: number): void {
    this.#add('FieldValueTooMany', field, `Too many: ${count}: must have at most ${max} items`);
  }

  #add(reason: string, field: string, message: string): void {
    this.places.push({ reason, field, message });
  }
}

function shown(value: unknown): string {
  if (value === undefined) return '""';
  const text = JSON.stringify(value);
  return text.length > 1000 ? `${text.slice(0, 1000)}…` : text;
}
