/**
 * cluster/apiserver: the Kubernetes API over the object store, a generic machine over a table of kinds.
 * Read kinds/kind.ts (what the machine knows of a kind), operations/ (create, update, delete, list, watch) and router.ts.
 */
export * from './access/authenticators.ts';
export * from './access/authorizer.ts';
export * from './access/user.ts';
export * from './connect/connect-subresource.ts';
export type { AdvertisedAddress } from './initial-objects.ts';
export { readPodManifest } from './kinds/pod-manifest.ts';
export type { ServerTls } from './listener.ts';
export * from './ports.ts';
export * from './server.ts';
