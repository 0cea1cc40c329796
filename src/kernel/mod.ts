/**
 * kernel: what every layer stands on and what knows nothing of Gantry.
 * Read errors.ts first (the closed list of codes), then lifecycle.ts (how parts start and stop) and work-queue.ts.
 */
export * from './clock.ts';
export * from './config.ts';
export * from './errors.ts';
export * from './files.ts';
export * from './http-status.ts';
export * from './ids.ts';
export * from './lifecycle.ts';
export * from './log.ts';
export * from './mutex.ts';
export * from './loopback.ts';
export * from './port-pair.ts';
export * from './process.ts';
export * from './request-url.ts';
export * from './retry.ts';
export * from './work-queue.ts';
