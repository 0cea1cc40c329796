import type { Exchange } from '../handlers/exchange.ts';

/** A resource that is computed and not stored: metrics, reviews. */
export interface VirtualResource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly isNamespaced: boolean;
  readonly verbs: readonly string[];
  serve(exchange: Exchange): Promise<void>;
}
