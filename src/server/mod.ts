/**
 * server: composition roots. It alone knows every layer, the layout of a data folder and how the processes of an instance start and stop.
 * Read instance.ts (what an instance is), up.ts and supervisor.ts (processes), then server.ts and agent.ts (what runs in them).
 */
export type { ChildCommand } from './child-process.ts';
export { ensureCredentials } from './credentials.ts';
export * from './endpoints.ts';
export * from './instance.ts';
export { RoleLock, type Role, roleHolder, roles } from './lock.ts';
export type { InstancePaths } from './paths.ts';
export { planManualRollback } from '../delivery/mod.ts';
export { purgeInstance } from './purge.ts';
export { runAgentProcess, runServerProcess, type ServerProcessOptions } from './roles.ts';
export { runRole } from './run-role.ts';
export { type Settings, settingsSchema } from './settings.ts';
export { stopInstance } from './stop-instance.ts';
export type { ChildRole } from './supervisor.ts';
export { runUp, type UpOptions } from './up.ts';
