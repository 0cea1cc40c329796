/**
 * server: composition roots. It alone knows every layer, the layout of a data folder and how the processes of an instance start and stop.
 * Read instance.ts (what an instance is), up.ts and supervisor.ts (processes), then server.ts and agent.ts (what runs in them).
 * This face loads little: what a command needs of the layers is imported when it is called.
 */
import type { Release, Stored } from '../api/mod.ts';
import type { EngineFinding } from '../engine/mod.ts';
import type { Instance } from './instance.ts';
import type { InstanceLocation } from './location.ts';
import type { Role } from './lock.ts';
import type { ServerProcessOptions } from './roles.ts';
import type { Settings } from './settings.ts';
import type { UpOptions } from './up.ts';

export type { OpenScope } from '../engine/mod.ts';
export type { RegistryUsage } from '../registry/mod.ts';
export type { ChildCommand } from './child-process.ts';
export * from './endpoints.ts';
export type { EngineFinding } from '../engine/mod.ts';
export type { Instance } from './instance.ts';
export { type InstanceLocation, locateInstance } from './location.ts';
export { RoleLock, type Role, roleHolder, roles } from './lock.ts';
export type { InstancePaths } from './paths.ts';
export type { ServerProcessOptions } from './roles.ts';
export type { Settings } from './settings.ts';
export type { ChildRole } from './supervisor.ts';
export type { UpOptions } from './up.ts';

/** The instance as it was opened last. `not-found` when there is none. */
export async function readInstance(location: InstanceLocation): Promise<Instance> {
  return (await import('./instance.ts')).readInstance(location);
}

/** What every role's process does; see run-role.ts. */
export async function runRole(work: (onReady: () => void, signal: AbortSignal) => Promise<void>, options: { outlivesParent: boolean }): Promise<void> {
  return (await import('./run-role.ts')).runRole(work, options);
}

/** Runs server and agent; see up.ts. */
export async function runUp(options: UpOptions, onReady: () => void, signal: AbortSignal): Promise<void> {
  return (await import('./up.ts')).runUp(options, onReady, signal);
}

/** Ends the processes of an instance; those that ran. */
export async function stopInstance(location: InstanceLocation, signal: AbortSignal): Promise<Role[]> {
  return (await import('./stop-instance.ts')).stopInstance(location, signal);
}

/** Checks settings that came as flags. `invalid` names the setting. */
export async function parseSettings(input: Readonly<Record<string, unknown>>): Promise<Settings> {
  return (await import('./settings.ts')).parseSettings(input);
}

export async function prepareInstance(location: InstanceLocation, flags: Settings, configFile: string | undefined, signal: AbortSignal): Promise<void> {
  return (await import('./prepare.ts')).prepareInstance(location, flags, configFile, signal);
}

export async function purgeInstance(location: InstanceLocation, signal: AbortSignal): Promise<void> {
  return (await import('./purge.ts')).purgeInstance(location, signal);
}

export async function runServerProcess(options: ServerProcessOptions, onReady: () => void, signal: AbortSignal): Promise<void> {
  return (await import('./roles.ts')).runServerProcess(options, onReady, signal);
}

export async function runAgentProcess(location: InstanceLocation, onReady: () => void, signal: AbortSignal): Promise<void> {
  return (await import('./roles.ts')).runAgentProcess(location, onReady, signal);
}

/** What an instance whose agent does not run has left on the machine. `conflict` when it does run. */
export async function examineOffline(location: InstanceLocation, isRepaired: boolean, signal: AbortSignal): Promise<EngineFinding[]> {
  return (await import('./doctor.ts')).examineOffline(location, isRepaired, signal);
}

/** Locks, sockets and ports of an instance's processes. */
export async function examineProcesses(location: InstanceLocation, isRepaired: boolean): Promise<EngineFinding[]> {
  return (await import('./doctor.ts')).examineProcesses(location, isRepaired);
}

/** Makes a data folder of a backup; see backup.ts. */
export async function restoreBackup(archive: string, dataDir: string, signal: AbortSignal): Promise<void> {
  return (await import('./backup.ts')).restoreBackup(archive, dataDir, signal);
}

/** The release that takes a repository back by hand; see delivery's `planManualRollback`. */
export async function planRollback(releases: readonly Stored<Release>[], to: number | undefined): Promise<Release> {
  return (await import('../delivery/mod.ts')).planManualRollback(releases, to);
}
