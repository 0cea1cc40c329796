import { CORE_SCHEMA, dump } from 'js-yaml';
import type { KubernetesProtobuf } from '../../../wire/mod.ts';
import { badRequest } from '../errors.ts';
import { apiVersionOfKind, type Kind } from '../kinds/kind.ts';
import type { StoredObject } from '../objects/stored-object.ts';
import { inVersion } from '../operations/convert.ts';
import { sendText } from '../requests/respond.ts';
import type { Exchange } from './exchange.ts';
import { type Encoding, mediaTypes, negotiate, type Negotiated } from './negotiation.ts';
import { type IncludeObject, tableColumns, tableRow } from './table.ts';

/** The body of an answer. */
export type Body = string | Uint8Array;

type Typed = Record<string, unknown> & { apiVersion: string; kind: string };

/** How the objects of one answer are shown: negotiated once, then used for every object of it. */
export class Representation {
  readonly asked: Negotiated;
  readonly #kind: Kind;
  readonly #codec: KubernetesProtobuf;
  readonly #nowMs: number;
  readonly #include: IncludeObject;

  private constructor(kind: Kind, asked: Negotiated, codec: KubernetesProtobuf, nowMs: number, include: IncludeObject) {
    this.#kind = kind;
    this.asked = asked;
    this.#codec = codec;
    this.#nowMs = nowMs;
    this.#include = include;
  }

  /** Reads Accept and includeObject. 406 when nothing that is asked for can be given. */
  static of(kind: Kind, { request, query, protobuf }: Exchange, nowMs: number, isStream = false): Representation {
    const hasProtobuf = !kind.isCustom && protobuf.has(apiVersionOfKind(kind), kind.type.kind);
    return new Representation(kind, negotiate(request.headers.accept, { hasProtobuf, isStream }), protobuf, nowMs, parseInclude(query.get('includeObject')));
  }

  get contentType(): string {
    return mediaTypes[this.asked.encoding];
  }

  /** One object in the version and form asked for. */
  object(stored: StoredObject): Body {
    if (this.asked.encoding === 'json') return this.#jsonText(stored);
    return this.#encode(this.#value(stored));
  }

  /** A list. JSON is put together from the objects' own texts. */
  list(objects: readonly StoredObject[], metadata: Record<string, unknown>): Body {
    const { form, encoding } = this.asked;
    if (form === 'table') return this.#encode(this.#table(objects, metadata, true));
    const head = form === 'partial' ? { kind: 'PartialObjectMetadataList', apiVersion: this.#metaApiVersion() } : { kind: `${this.#kind.type.kind}List`, apiVersion: apiVersionOfKind(this.#kind) };
    if (encoding !== 'json') return this.#encode({ ...head, metadata, items: objects.map((stored) => this.#value(stored)) });
    return `${JSON.stringify({ ...head, metadata }).slice(0, -1)},"items":[${objects.map((stored) => this.#jsonText(stored)).join(',')}]}`;
  }

  /** The object part of a watch event. Only the first table of a watch repeats the columns. */
  watched(stored: StoredObject, isFirst: boolean): Body {
    if (this.asked.form !== 'table') return this.object(stored);
    return this.#encode(this.#table([stored], { resourceVersion: stored.object.metadata.resourceVersion }, isFirst));
  }

  /** The object part of a bookmark: nothing but a revision. */
  bookmark(revision: number, annotations: Record<string, string> | undefined): Body {
    const metadata = { resourceVersion: String(revision), creationTimestamp: null, ...(annotations === undefined ? {} : { annotations }) };
    if (this.asked.form === 'table') {
      // A table has no annotations of its own: they are on the object of its only row.
      const rows = annotations === undefined ? [] : [{ cells: [], object: { kind: 'PartialObjectMetadata', apiVersion: this.#metaApiVersion(), metadata } }];
      return this.#encode({ kind: 'Table', apiVersion: this.#metaApiVersion(), metadata: { resourceVersion: String(revision) }, columnDefinitions: [], rows });
    }
    const isPartial = this.asked.form === 'partial';
    return this.#encode({ kind: isPartial ? 'PartialObjectMetadata' : this.#kind.type.kind, apiVersion: isPartial ? this.#metaApiVersion() : apiVersionOfKind(this.#kind), metadata });
  }

  #metaApiVersion(): string {
    return `meta.k8s.io/${this.asked.metaVersion}`;
  }

  #jsonText(stored: StoredObject): string {
    const isSameVersion = this.#kind.conversion === undefined && this.#kind.type.version === this.#kind.storageVersion;
    return this.asked.form === 'object' && isSameVersion ? stored.text : JSON.stringify(this.#value(stored));
  }

  #value(stored: StoredObject): Typed {
    switch (this.asked.form) {
      case 'object':
        return inVersion(this.#kind, stored.object);
      case 'partial':
        return { kind: 'PartialObjectMetadata', apiVersion: this.#metaApiVersion(), metadata: stored.object.metadata };
      case 'table':
        return this.#table([stored], { resourceVersion: stored.object.metadata.resourceVersion }, true);
    }
  }

  #table(objects: readonly StoredObject[], metadata: Record<string, unknown>, hasColumns: boolean): Typed {
    const rows = objects.map(({ object }) => tableRow(this.#kind, inVersion(this.#kind, object), this.#nowMs, this.#include, this.#metaApiVersion()));
    return { kind: 'Table', apiVersion: this.#metaApiVersion(), metadata, columnDefinitions: hasColumns ? tableColumns(this.#kind) : [], rows };
  }

  #encode(value: Typed): Body {
    return encodeValue(value, this.asked.encoding, this.#codec);
  }
}

/** A typed value in an encoding that it has. */
export function encodeValue(value: Typed, encoding: Encoding, codec: KubernetesProtobuf): Body {
  if (encoding === 'protobuf') return codec.encode(value);
  if (encoding === 'json') return JSON.stringify(value);
  const { kind, apiVersion, metadata, ...rest } = JSON.parse(JSON.stringify(value)) as Typed;
  // Every text in quotes: readers of YAML 1.1 take a bare yes, a date or 0x1 for something else.
  return dump({ kind, apiVersion, ...(metadata === undefined ? {} : { metadata }), ...rest }, { schema: CORE_SCHEMA, noRefs: true, lineWidth: -1, forceQuotes: true });
}

/** Answers with a value that is no stored object, in the encoding asked for as far as it has it. */
export async function sendValue<T extends { readonly apiVersion: string; readonly kind: string }>({ request, response, protobuf }: Exchange, code: number, value: T): Promise<void> {
  const { encoding } = negotiate(request.headers.accept, { hasProtobuf: protobuf.has(value.apiVersion, value.kind) });
  await sendText(request, response, code, encodeValue({ ...value }, encoding, protobuf), mediaTypes[encoding]);
}

function parseInclude(text: string | null): IncludeObject {
  if (text === null || text === '' || text === 'Metadata') return 'Metadata';
  if (text === 'None' || text === 'Object') return text;
  throw badRequest(`unable to convert query parameter "includeObject": unrecognized includeObject value: ${JSON.stringify(text)}`);
}
