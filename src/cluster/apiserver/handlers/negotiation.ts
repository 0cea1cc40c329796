import { GantryError } from '../../../kernel/mod.ts';

/** The form an answer takes: the objects themselves, a table for people, or their metadata only. */
export type Form = 'object' | 'table' | 'partial';

/** How the form is written. */
export type Encoding = 'json' | 'yaml' | 'protobuf';

/** What an Accept header led to. `metaVersion` is that of tables and metadata objects. */
export interface Negotiated {
  readonly form: Form;
  readonly encoding: Encoding;
  readonly metaVersion: 'v1' | 'v1beta1';
}

/** The media types by encoding, as Content-Type names them. */
export const mediaTypes: Readonly<Record<Encoding, string>> = { json: 'application/json', yaml: 'application/yaml', protobuf: 'application/vnd.kubernetes.protobuf' };

/** What the answer can be. Tables are never binary, streams never YAML, as in Kubernetes. */
export interface Offer {
  /** Whether the kind has a protobuf form. */
  readonly hasProtobuf: boolean;
  readonly isStream?: boolean;
}

interface Clause { readonly media: string; readonly parameters: readonly string[]; readonly quality: number }

/** Chooses among the forms an Accept header asks for, by quality and then in its order. 406 when none can be given. */
export function negotiate(accept: string | undefined, offer: Offer): Negotiated {
  if (accept === undefined || accept.trim() === '') return { form: 'object', encoding: 'json', metaVersion: 'v1' };
  for (const clause of parseAccept(accept)) {
    const found = match(clause, offer);
    if (found !== undefined) return found;
  }
  const accepted = ['application/json', ...(offer.isStream === true ? [] : ['application/yaml']), ...(offer.hasProtobuf ? [mediaTypes.protobuf] : [])];
  throw new GantryError('unsupported', `only the following media types are accepted: ${accepted.join(', ')}`, { details: { reason: 'NotAcceptable' } });
}

function parseAccept(accept: string): Clause[] {
  const clauses = accept.split(',').map((text): Clause => {
    const [media = '', ...parameters] = text.split(';').map((part) => part.trim());
    const quality = Number(parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? '1');
    return { media: media.toLowerCase(), parameters, quality: Number.isNaN(quality) ? 0 : quality };
  });
  return clauses.filter(({ quality }) => quality > 0).toSorted((a, b) => b.quality - a.quality);
}

function match({ media, parameters }: Clause, offer: Offer): Negotiated | undefined {
  const encoding = encodingOf(media, offer);
  if (encoding === undefined) return undefined;
  const as = parameters.find((parameter) => parameter.startsWith('as='))?.slice(3);
  if (as === undefined) return encoding === 'protobuf' && !offer.hasProtobuf ? undefined : { form: 'object', encoding, metaVersion: 'v1' };
  const metaVersion = parameters.includes('v=v1') ? 'v1' : parameters.includes('v=v1beta1') ? 'v1beta1' : undefined;
  if (metaVersion === undefined || !parameters.includes('g=meta.k8s.io')) return undefined;
  if (as === 'Table') return encoding === 'protobuf' ? undefined : { form: 'table', encoding, metaVersion };
  return as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList' ? { form: 'partial', encoding, metaVersion } : undefined;
}

function encodingOf(media: string, { isStream }: Offer): Encoding | undefined {
  if (media === mediaTypes.json || media === 'application/*' || media === '*/*') return 'json';
  if (media === mediaTypes.protobuf) return 'protobuf';
  return media === mediaTypes.yaml && isStream !== true ? 'yaml' : undefined;
}
