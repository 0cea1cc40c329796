/**
 * wire: formats as pure functions, bytes in and values out. No sockets, no files.
 * Each file is one format and names its specification; they do not depend on each other.
 */
export * from './docker-stream.ts';
export * from './kubernetes-protobuf.ts';
export * from './metrics-text.ts';
export * from './openapi-v2.ts';
export * from './remote-command.ts';
export * from './spdy-frames.ts';
export * from './tar-header.ts';
export * from './tar-reader.ts';
export * from './watch-frame.ts';
