import { defaultRegistryHost, type ImageReference, parseImageReference } from '../../api/mod.ts';
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

function names(image: unknown, { reference }: BuiltImage): boolean {
  const [wanted, target] = [typeof image === 'string' ? tryParse(image) : undefined, tryParse(reference)];
  if (wanted === undefined || target === undefined) return false;
  return pathOf(wanted) === pathOf(target) && (wanted.host === defaultRegistryHost || wanted.host === target.host);
}

/** `shop` is `library/shop` at the default registry, and plain `shop` at any other. */
function pathOf({ host, repository }: ImageReference): string {
  return host === defaultRegistryHost ? repository.replace(/^library\//, '') : repository;
}

function tryParse(text: string): ImageReference | undefined {
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
