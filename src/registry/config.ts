/** Limits of the registry server. */
export interface RegistryLimits {
  /** Of one manifest, in bytes. The spec asks for at least 4 MiB ("Pushing Manifests"). */
  readonly maxManifestBytes: number;
  /** Entries of a list answered at once; also the most that `n` can ask for. */
  readonly maxPageEntries: number;
  /** A connection on which nothing moves is closed after this. */
  readonly idleTimeoutMs: number;
}

export const defaultRegistryLimits: RegistryLimits = { maxManifestBytes: 4 << 20, maxPageEntries: 1000, idleTimeoutMs: 300_000 };
