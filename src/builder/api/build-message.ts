import { z } from 'zod';
import type { BuildMessage } from '../../api/mod.ts';

/** A context that was sent before, or a repository that the builder fetches. */
const contextSchema = z.union([z.strictObject({ held: z.string() }), z.strictObject({ git: z.string() })]);

/** How layers leave the store. */
export const imageFormatSchema = z.strictObject({
  compression: z.enum(['gzip', 'zstd', 'uncompressed']),
  level: z.number().int().min(0).max(22).optional(),
  isForced: z.boolean(),
  mediaTypes: z.enum(['oci', 'docker']),
});

/** `POST /builder/builds`. Secrets are base64; they are held in memory only. */
export const buildMessageSchema = z.strictObject({
  context: contextSchema,
  /** `text` and `ignoreText` (the rules that the client read) when the client has the Dockerfile; else it is read from the context. */
  dockerfile: z.strictObject({ path: z.string().min(1), text: z.string().optional(), ignoreText: z.string().optional() }),
  contexts: z.record(z.string(), z.union([contextSchema, z.strictObject({ image: z.string() })])).default({}),
  tags: z.array(z.string()).default([]),
  target: z.string().optional(),
  buildArgs: z.record(z.string(), z.string()).default({}),
  labels: z.record(z.string(), z.string()).default({}),
  noCache: z.boolean().default(false),
  noCacheStages: z.array(z.string()).default([]),
  pull: z.boolean().default(false),
  network: z.enum(['default', 'none', 'host']).default('default'),
  allow: z.array(z.enum(['network.host', 'security.insecure'])).default([]),
  platform: z.string().optional(),
  secrets: z.record(z.string(), z.base64()).default({}),
  /** Paths of agents' sockets on this machine. */
  ssh: z.record(z.string(), z.string()).default({}),
  cacheFrom: z.array(z.string()).default([]),
  cacheTo: z.array(z.strictObject({ reference: z.string(), mode: z.enum(['min', 'max']) })).default([]),
  inlineCache: z.boolean().default(false),
  push: z.boolean().default(false),
  format: imageFormatSchema.optional(),
  /** Only the rules of build checks; nothing runs. */
  check: z.boolean().default(false),
});

export type ParsedBuildMessage = z.output<typeof buildMessageSchema>;

// What the schema takes is what clients are told it takes.
({}) as z.input<typeof buildMessageSchema> satisfies BuildMessage;
