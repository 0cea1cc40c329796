/**
 * client: the Kubernetes API as our own code uses it, against the embedded server or any other.
 * Read client.ts (the interface), then informer.ts and controller.ts: every moving part of Gantry is a Controller.
 */
export * from './client.ts';
export * from './connection.ts';
export * from './controller.ts';
export { type DiscoveredResource, discoverResources, readGroupVersion } from './discovery.ts';
export * from './events.ts';
export * from './informer.ts';
export * from './informers.ts';
export { openKubeClient } from './kube-client.ts';
export * from './kubeconfig.ts';
export { ObjectCache } from './object-cache.ts';
export { collectionPath, objectPath } from './paths.ts';
export { toStatusError } from './status-error.ts';
