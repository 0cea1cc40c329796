/**
 * store: what outlives a crash. Versioned objects with one global revision, and content-addressed blobs.
 * Read object-store.ts (the port, with its suite in testing/) or blobs.ts first.
 */
export * from './blobs.ts';
export * from './disk-blobs.ts';
export { blobFile, handOver } from './hand-over.ts';
export * from './history-trimmer.ts';
export * from './object-store.ts';
export * from './s3-blobs.ts';
export type { S3BucketOptions } from './s3/s3-bucket.ts';
export type { S3Credentials } from './s3/signature.ts';
export * from './sqlite-object-store.ts';
export * from './watch.ts';
