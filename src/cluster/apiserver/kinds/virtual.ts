import type { Exchange } from '../handlers/exchange.ts';

/** One resource as discovery tells it. */
export interface DiscoveredResource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly isNamespaced: boolean;
  readonly verbs: readonly string[];
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly subresources: readonly { name: string; group: string; version: string; kind: string; verbs: readonly string[] }[];
}

/** A resource that is computed and not stored: metrics, reviews. */
export interface VirtualResource extends Omit<DiscoveredResource, 'shortNames' | 'categories' | 'subresources'> {
  /** What discovery tells instead, where that follows from what there is. */
  discovered?(): DiscoveredResource[];
  serve(exchange: Exchange): Promise<void>;
}
