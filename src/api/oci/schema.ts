import { z } from 'zod';
import { GantryError, parseWith } from '../../kernel/mod.ts';
import { type Digest, type ImageConfig, type ImageIndex, type ImageManifest, mediaTypes } from './types.ts';

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'must be sha256: and 64 hex digits').transform((text) => text as Digest);
const anyDigest = z.string().regex(/^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/, 'must be sha256: and 64 hex digits or sha512: and 128').transform((text) => text as Digest);
const annotations = z.record(z.string(), z.string());
const platform = z.looseObject({ architecture: z.string(), os: z.string(), variant: z.string().optional(), 'os.version': z.string().optional() });

function documentsWith(digestSchema: typeof digest) {
  const descriptor = z.looseObject({
    mediaType: z.string().min(1),
    digest: digestSchema,
    size: z.int().nonnegative(),
    urls: z.array(z.string()).optional(),
    annotations: annotations.nullish().transform((value) => value ?? undefined),
    platform: platform.optional(),
    artifactType: z.string().optional(),
    data: z.string().optional(),
  });
  const common = {
    schemaVersion: z.literal(2),
    mediaType: z.string().optional(),
    artifactType: z.string().optional(),
    subject: descriptor.nullish().transform((value) => value ?? undefined),
    annotations: annotations.nullish().transform((value) => value ?? undefined),
  };
  return { manifest: z.looseObject({ ...common, config: descriptor, layers: z.array(descriptor) }), index: z.looseObject({ ...common, manifests: z.array(descriptor) }) };
}

const documents = { sha256: documentsWith(digest), any: documentsWith(anyDigest) };

const strings = z.array(z.string());
const orAbsent = <S extends z.ZodType>(schema: S) => schema.nullish().transform((value) => value ?? undefined);
const emptyObjects = orAbsent(z.record(z.string(), z.looseObject({}).transform((): Record<string, never> => ({}))));
const config = z.looseObject({
  created: orAbsent(z.string()),
  architecture: z.string(),
  os: z.string(),
  config: orAbsent(
    z.looseObject({
      User: orAbsent(z.string()),
      ExposedPorts: emptyObjects,
      Env: orAbsent(strings),
      Entrypoint: strings.nullish(),
      Cmd: strings.nullish(),
      Volumes: emptyObjects,
      WorkingDir: orAbsent(z.string()),
      Labels: annotations.nullish(),
      StopSignal: orAbsent(z.string()),
      Healthcheck: orAbsent(z.looseObject({ Test: orAbsent(strings) })),
      OnBuild: strings.nullish(),
      Shell: orAbsent(strings),
    }),
  ),
  rootfs: z.looseObject({ type: z.literal('layers'), diff_ids: z.array(digest).nullable().transform((value) => value ?? []) }),
  history: orAbsent(z.array(z.looseObject({ created: orAbsent(z.string()), created_by: orAbsent(z.string()), comment: orAbsent(z.string()), empty_layer: z.boolean().optional() }))),
});

/** What a manifest document is: of one image (or artifact), or of several platforms. */
export type ParsedManifest = { kind: 'manifest'; manifest: ImageManifest } | { kind: 'index'; index: ImageIndex };

const kinds: Readonly<Record<string, ParsedManifest['kind']>> = {
  [mediaTypes.ociManifest]: 'manifest',
  [mediaTypes.dockerManifest]: 'manifest',
  [mediaTypes.ociIndex]: 'index',
  [mediaTypes.dockerManifestList]: 'index',
};

/**
 * Parses a manifest or index of the media type. `unsupported` for other types; `invalid` when the body does not fit its type.
 * `digests`: whether descriptors may also have sha512, which a registry stores and an engine does not run.
 */
export function parseManifest(bytes: Uint8Array, mediaType: string, what: string, digests: 'sha256' | 'any' = 'sha256'): ParsedManifest {
  const kind = kinds[mediaType];
  if (kind === undefined) throw new GantryError('unsupported', `${what}: the media type ${JSON.stringify(mediaType)} is not supported`);
  const body = parseJson(bytes, what);
  const stated = typeof body === 'object' && body !== null && 'mediaType' in body ? body.mediaType : undefined;
  if (stated !== undefined && stated !== mediaType) throw new GantryError('invalid', `${what}: the document says its type is ${JSON.stringify(stated)}, not ${mediaType}`);
  const { manifest, index } = documents[digests];
  return kind === 'manifest' ? { kind, manifest: parseWith(manifest, body, what) } : { kind, index: parseWith(index, body, what) };
}

/** Parses an image configuration. What is unknown is kept. */
export function parseImageConfig(bytes: Uint8Array, what: string): ImageConfig {
  return parseWith(config, parseJson(bytes, what), what);
}

function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new GantryError('invalid', `${what}: not JSON`, { cause: error });
  }
}
