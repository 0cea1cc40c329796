import { familiarImageReference, parseImageReference } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';

/** A `--build-context name=…`: a folder the client sent (or that was fetched), or an image. */
export type NamedContext = { readonly kind: 'folder' } | { readonly kind: 'image'; readonly reference: string };

/** Named contexts by the ways a Dockerfile can write their names: in any case, and images with or without `:latest`. */
export class NamedContexts {
  readonly #contexts = new Map<string, { name: string; context: NamedContext }>();

  constructor(contexts: ReadonlyMap<string, NamedContext>) {
    for (const [name, context] of contexts) this.#contexts.set(plainName(name), { name, context });
  }

  /** `scratch` and `context` mean what they always mean. */
  find(name: string): { name: string; context: NamedContext } | undefined {
    return this.#contexts.size === 0 || ['scratch', 'context'].includes(name.toLowerCase()) ? undefined : this.#contexts.get(plainName(name));
  }
}

function plainName(name: string): string {
  try {
    return familiarImageReference(parseImageReference(name.toLowerCase())).replace(/:latest$/, '');
  } catch (error) {
    if (isError(error, 'invalid')) return name.toLowerCase();
    throw error;
  }
}
