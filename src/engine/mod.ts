/**
 * engine: containers, from an image reference to a running process and back. Read engine.ts (the face) and types.ts first,
 * then images/types.ts for images and docker/ for the Docker Engine API.
 */
export type * from './engine.ts';
export { openImageStore, type ImageStoreOptions } from './images/local-image-store.ts';
export { formatPlatform, hostPlatform, parsePlatform } from './images/platform.ts';
export * from './images/types.ts';
export type * from './ports.ts';
export type * from './types.ts';
