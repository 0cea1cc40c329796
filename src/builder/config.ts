import { z } from 'zod';

/** What RUN steps get from the machine and images do not: nothing of it is in a layer, in history or in a cache key. */
export interface BuildEnvironment {
  /** Host path of a certificate bundle (PEM) that programs in builds trust besides their own, or undefined. */
  readonly certificateBundle: string | undefined;
  /** HTTP_PROXY, HTTPS_PROXY, NO_PROXY in the spellings that are wanted. */
  readonly proxyVariables: Readonly<Record<string, string>>;
}

/** The builder's part of the configuration file. */
export const builderConfigSchema = z.strictObject({
  /** Limit of the layers that only the build cache keeps, in bytes. The ones used longest ago go first. */
  cacheBytes: z.number().int().min(0).default(20 * 2 ** 30),
  /** Limit of the folders of cache mounts, in bytes. The ones used longest ago go first. */
  cacheMountBytes: z.number().int().min(0).default(20 * 2 ** 30),
  /** RUN steps at the same time, over all builds. */
  parallelSteps: z.number().int().min(1).max(256).default(4),
});

export type BuilderConfig = z.output<typeof builderConfigSchema>;
