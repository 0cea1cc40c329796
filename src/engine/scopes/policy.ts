import { z } from 'zod';

const count = z.int().min(0).max(100_000);
const memory = z.int().min(6 * 2 ** 20);
const cpus = z.number().min(0.01).max(1024);

/** The label with the scope's name that everything made through a scope gets. */
export const scopeLabel = 'gantry.dev/scope';

/**
 * What a scoped endpoint of the Docker API allows. What is not named here cannot be allowed: privilege, added capabilities, devices,
 * host folders, host namespaces, loosened seccomp or paths. Everything has a default, so `{}` is a policy.
 */
export const scopePolicySchema = z.strictObject({
  /** Put on everything that is made, over what the client and the image say. */
  labels: z.record(z.string().min(1).max(255), z.string().max(4096)).default({}),
  /** After this time the endpoint closes and everything made through it is removed. At most a week. */
  lifetimeSeconds: z.int().min(1).max(7 * 86_400).default(3600),
  /** Images of the host that may be used, by their short names; `*` stands for any characters. */
  images: z.array(z.string().min(1).max(300)).max(1000).default([]),
  /** Whether further images may be pulled from registries. */
  isPullAllowed: z.boolean().default(true),
  /** Where ports may be published: not at all, on loopback, or on any address of the host. */
  publish: z.enum(['none', 'loopback', 'any']).default('loopback'),
  /** Of all containers together: counts, and limits that the kernel keeps for them as one. */
  total: z.strictObject({
    containers: count.default(32),
    networks: count.default(8),
    volumes: count.default(32),
    memoryBytes: memory.default(2 * 2 ** 30),
    cpus: cpus.default(1),
    pids: z.int().min(1).max(4_000_000).default(2048),
  }).prefault({}),
  /** Of one container; also its limit where the client names none. Default: only the total holds. */
  perContainer: z.strictObject({ memoryBytes: memory.optional(), cpus: cpus.optional(), pids: z.int().min(1).optional() }).default({}),
});

export type ScopePolicy = z.output<typeof scopePolicySchema>;

/** What opens a scope. The name is unique among the engine's scopes and part of the socket's path. */
export const scopeRequestSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/, 'must be 1 to 40 lower-case letters, digits and dashes'),
  /** Who may use the socket besides root. Default: nobody. */
  groupId: z.int().min(0).optional(),
  policy: scopePolicySchema.prefault({}),
});

export type ScopeRequest = z.input<typeof scopeRequestSchema>;

/** A scope as it is kept on disk. */
export const scopeRecordSchema = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{16}$/),
  name: z.string(),
  groupId: z.int().optional(),
  policy: scopePolicySchema,
  createdAtMs: z.number(),
  expiresAtMs: z.number(),
  /** It is being removed: what is left of it is removed at the next start. */
  isClosing: z.boolean(),
  /** Names in the host's own image store that came by this scope's pulls. */
  pulled: z.array(z.string()),
  /** Images that this scope made. */
  imageIds: z.array(z.string()),
});

export type ScopeRecord = Readonly<z.output<typeof scopeRecordSchema>>;
