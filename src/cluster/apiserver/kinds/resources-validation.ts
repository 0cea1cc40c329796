import { parseQuantity, type k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { qualifiedNameProblem } from '../validation/names.ts';

/** Requests and limits of a container at `at`. */
export function validateResources(resources: k8s.ResourceRequirements | undefined, at: string, errors: FieldErrors): void {
  for (const field of ['limits', 'requests'] as const) {
    for (const [name, amount] of Object.entries(resources?.[field] ?? {})) {
      const problem = qualifiedNameProblem(name);
      if (problem !== undefined) errors.invalid(`${at}.${field}`, name, problem);
      if (parseQuantity(amount).nano < 0n) errors.invalid(`${at}.${field}[${name}]`, amount, 'must be greater than or equal to 0');
    }
  }
  for (const [name, request] of Object.entries(resources?.requests ?? {})) {
    const limit = resources?.limits?.[name];
    if (limit !== undefined && parseQuantity(request).nano > parseQuantity(limit).nano) errors.invalid(`${at}.requests`, request, `must be less than or equal to ${name} limit of ${limit}`);
  }
}
