/** Seconds an answer about the cluster may be kept by a client. Services move fast, and asking is cheap. */
export const clusterTtlSeconds = 5;

/** Milliseconds one upstream resolver gets before the next is asked. */
export const upstreamTimeoutMs = 2_000;

/** Questions under way to upstream resolvers at once; more are answered with SERVFAIL. */
export const maxForwarded = 512;

/** The cluster's domain where nothing else is configured. */
export const defaultClusterDomain = 'cluster.local';
