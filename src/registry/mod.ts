/**
 * registry: OCI distribution, both sides. `openRegistry` serves images over HTTP from a blob store; `openRegistryClient` talks to any registry.
 * Read server/routes.ts (the end points), then server/registry.ts; client/client.ts for the other side.
 */
export * from './config.ts';
export { globMatches, matchesAny } from './globs.ts';
export type * from './ports.ts';
export { type CollectedItem, type CollectionReport, type CollectorOptions, RegistryCollector } from './server/collector.ts';
export type { RegistryUsage } from './server/disk-budget.ts';
export { openRegistry, type ListeningRegistry, type Registry, type RegistryAddress, type RegistryOptions } from './server/registry.ts';
export { openRegistryClient, type FetchedDocument, type NeighbourRegistry, type RegistryClientOptions, type RegistryHttpClient } from './client/client.ts';
export { DockerConfigCredentials } from './client/docker-config.ts';
export type { RegistryHostsConfig } from './client/hosts.ts';
export { ClientUpstreams, type UpstreamConfig } from './client/upstreams.ts';
