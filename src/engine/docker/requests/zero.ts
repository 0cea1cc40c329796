import { z } from 'zod';

/** Whether a value of a request asks for nothing: null, false, 0, '', and lists and objects of such. */
export function isZero(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === '' || value === 0) return true;
  if (Array.isArray(value)) return value.every(isZero);
  return typeof value === 'object' && Object.values(value).every(isZero);
}

/**
 * An object of the Docker API: fields of the shape are read, all others must be zero values. Clients send every field they know,
 * so a field is refused only when it asks for something. `unsupported` says why for fields that are known.
 */
export function dockerObject<S extends Record<string, z.ZodType>>(shape: S, unsupported: Readonly<Record<string, string>> = {}) {
  return z.looseObject(shape).superRefine((value, context) => {
    for (const [key, field] of Object.entries(value)) {
      if (key in shape || isZero(field)) continue;
      context.addIssue({ code: 'custom', path: [key], message: `is not supported${unsupported[key] === undefined ? '' : `: ${unsupported[key]}`}` });
    }
  });
}

/** A field that may be absent or null. */
export function optional<S extends z.ZodType>(schema: S) {
  return schema.nullish().transform((value): z.output<S> | undefined => value ?? undefined);
}

export const optionalText = optional(z.string());
export const optionalFlag = optional(z.boolean());
export const optionalInteger = optional(z.int());
export const texts = z.array(z.string()).nullish().transform((value) => value ?? []);
export const textMap = z.record(z.string(), z.string()).nullish().transform((value) => value ?? {});

/** A list, or one text that stands for a list of it. */
export const command = z.union([z.string().transform((value) => [value]), z.array(z.string())]).nullish().transform((value) => value ?? undefined);
