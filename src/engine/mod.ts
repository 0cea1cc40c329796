/**
 * engine: containers, from an image reference to a running process and back. Read engine.ts (the face) and types.ts first, then
 * containers/container-lifecycle.ts (states) and containers/launcher.ts (one run); images/types.ts for images, docker/ for the Docker Engine API.
 */
export { defaultIdRange, parseSubordinateRange, type UserNamespaceOptions } from './containers/id-ranges.ts';
export { defaultLogOptions, plainContainerSpec } from './containers/plain-spec.ts';
export { examineClosed } from './doctor/examine.ts';
export { type DockerApi, type DockerApiOptions, type DockerListener, type DockerTls, type ListeningDockerApi, openDockerApi } from './docker/docker-api.ts';
export { type OpenScope, openScopedSockets, type ScopedSockets, type ScopedSocketsOptions } from './docker/scoped-sockets.ts';
export type * from './engine.ts';
export { ImageCollector, type ImageCollectorOptions } from './images/image-collector.ts';
export { openImageStore, type ImageStoreOptions } from './images/local-image-store.ts';
export { formatPlatform, hostPlatform, parsePlatform } from './images/platform.ts';
export { examineClosedStore } from './images/store-doctor.ts';
export * from './images/types.ts';
export { type EngineOptions, openEngine } from './open-engine.ts';
export type * from './ports.ts';
export type { ScopePolicy, ScopeRequest } from './scopes/policy.ts';
export { scopeRequestSchema } from './scopes/policy.ts';
export type * from './types.ts';
