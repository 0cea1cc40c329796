import { createServer, type Server } from 'node:net';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, GantryError, pollUntil } from '../kernel/mod.ts';
import { type ProcessIdentity, readLiveProcess, writeOwnIdentity } from './process-identity.ts';

/** The processes of an instance; each runs at most once. */
export type Role = 'supervisor' | 'server' | 'agent';
export const roles: readonly Role[] = ['supervisor', 'server', 'agent'];

/**
 * The right to be an instance's only process of a role. The right itself is a bound socket in the kernel's abstract namespace,
 * which vanishes with the process however it ends; the file beside it only tells others whom to signal.
 */
export class RoleLock implements AsyncDisposable {
  readonly #server: Server;
  readonly #file: string;

  private constructor(server: Server, file: string) {
    this.#server = server;
    this.#file = file;
  }

  /** `conflict` when another process still holds the role after `waitMs`. */
  static async acquire(instanceId: string, runDir: string, role: Role, waitMs: number, signal: AbortSignal): Promise<RoleLock> {
    const name = `gantry-${instanceId}-${role}`;
    const file = roleFile(runDir, role);
    try {
      const server = await pollUntil(name, () => bindAbstract(name), { timeoutMs: waitMs, intervalMs: 20 }, signal);
      await writeOwnIdentity(file);
      return new RoleLock(server, file);
    } catch (error) {
      if (!(error instanceof GantryError) || error.code !== 'timeout') throw error;
      const holder = await readLiveProcess(file);
      throw new GantryError('conflict', `this instance's ${role} is already running${holder === undefined ? '' : ` (pid ${holder.pid})`}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#file, { force: true });
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** The process that holds the role, or undefined. */
export async function roleHolder(runDir: string, role: Role): Promise<ProcessIdentity | undefined> {
  return readLiveProcess(roleFile(runDir, role));
}

/** Holds a name of the whole machine while `work` runs; others wait. */
export async function withMachineLock<T>(name: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const server = await pollUntil(`the lock ${name}`, () => bindAbstract(name), { timeoutMs: 10_000, intervalMs: 10 }, signal);
  try {
    return await work();
  } finally {
    server.close();
  }
}

/** Where a role's process is told to others. */
export function roleFile(runDir: string, role: Role): string {
  return join(runDir, `${role}.pid.json`);
}

function bindAbstract(name: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error) => (errnoOf(error) === 'EADDRINUSE' ? resolve(undefined) : reject(error)));
    server.listen({ path: `\0${name}` }, () => {
      server.unref();
      resolve(server);
    });
  });
}
