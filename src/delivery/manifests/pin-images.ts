import { parseImageReference } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';

/** An image that the pipeline built: its repository name, and the reference by digest under which the registry has it. */
export interface BuiltImage {
  readonly name: string;
  readonly digest: string;
  readonly reference: string;
}

/**
 * A copy of the object in which every container image that names a built image's repository is that image by digest.
 * A manifest names it with the default host (`shop`, `shop:latest`) or with the registry's own.
 */
export function pinImages<T>(object: T, images: readonly BuiltImage[]): T {
  const copy = structuredClone(object);
  visitContainers(copy, (container) => {
    const built = images.find((image) => names(container['image'], image));
    if (built !== undefined) container['image'] = built.reference;
  });
  return copy;
}

/** The images of an object's containers that are not by digest, so a later pull may get something else. */
export function imagesOf(object: unknown): string[] {
  const found: string[] = [];
  visitContainers(object, ({ image }) => {
    if (typeof image === 'string') found.push(image);
  });
  return found;
}

function names(image: unknown, built: BuiltImage): boolean {
  if (typeof image !== 'string') return false;
  const [wanted, name, target] = [image, built.name, built.reference].map(tryParse);
  if (wanted === undefined || name === undefined || target === undefined) return false;
  return wanted.repository === name.repository && (wanted.host === name.host || wanted.host === target.host);
}

function tryParse(text: string): { host: string; repository: string } | undefined {
  try {
    return parseImageReference(text);
  } catch (error) {
    // The API server refuses it with the field's place; here it just names none of ours.
    if (isError(error, 'invalid')) return undefined;
    throw error;
  }
}

/** Calls `visit` for each container of each pod template, however deep it is. */
function visitContainers(value: unknown, visit: (container: Record<string, unknown>) => void): void {
  if (Array.isArray(value)) return value.forEach((item) => visitContainers(item, visit));
  if (typeof value !== 'object' || value === null) return;
  for (const [field, child] of Object.entries(value)) {
    if ((field === 'containers' || field === 'initContainers') && Array.isArray(child)) {
      for (const item of child) if (typeof item === 'object' && item !== null) visit(item as Record<string, unknown>);
    } else {
      visitContainers(child, visit);
    }
  }
}
