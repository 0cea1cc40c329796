/**
 * host: what the machine's kernel offers, as typed functions: mounts, namespaces, links, packet filter, processes.
 * Read syscalls.ts (the bindings), then namespaces.ts, links.ts and nftables.ts. Nothing here knows of containers.
 */
export * from './bound-socket.ts';
export * from './confined-path.ts';
export * from './connections.ts';
export * from './folders.ts';
export * from './ip-bytes.ts';
export * from './links.ts';
export * from './mounts.ts';
export * from './namespaces.ts';
export * from './nftables.ts';
export * from './overlay.ts';
export * from './packet-socket.ts';
export * from './processes.ts';
export * from './pty.ts';
export * from './spawn.ts';
export * from './sysctl.ts';
export * from './syscalls.ts';
export * from './user-namespaces.ts';
