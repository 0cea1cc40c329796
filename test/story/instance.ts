import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type CommandResult, baseEnv, GantryError, runCommand } from '../../src/kernel/mod.ts';

const program = resolve(import.meta.dirname, '../../bin/gantry');

/** One Gantry on this machine, driven as a user drives it: by its command line and the stock clients. */
export class Instance {
  readonly dataDir: string;
  #env: Record<string, string> = {};

  private constructor(dataDir: string) {
    this.dataDir = dataDir;
  }

  /** Starts an instance in a data folder of its own. Default ports are moved if they are taken. */
  static async start(args: readonly string[], signal: AbortSignal, dataDir?: string): Promise<Instance> {
    const instance = new Instance(dataDir ?? (await mkdtemp(join(tmpdir(), 'gantry-'))));
    await instance.up(args, signal);
    return instance;
  }

  /** An instance that may or may not be there, to be purged. */
  static at(dataDir: string): Instance {
    return new Instance(dataDir);
  }

  async up(args: readonly string[], signal: AbortSignal): Promise<void> {
    await this.gantry(['up', '--detach', ...args], signal);
    const { stdout } = await this.gantry(['env'], signal);
    this.#env = Object.fromEntries([...stdout.matchAll(/^export (\w+)=(.*)$/gm)].map(([, name, value]) => [name ?? '', unquote(value ?? '')]));
  }

  /** `gantry COMMAND … --data-dir DIR`. */
  gantry(args: readonly string[], signal: AbortSignal): Promise<CommandResult> {
    return runCommand(program, [...args, '--data-dir', this.dataDir], {}, signal);
  }

  async gantryJson<T>(args: readonly string[], signal: AbortSignal): Promise<T> {
    return JSON.parse((await this.gantry([...args, '--json'], signal)).stdout) as T;
  }

  kubectl(args: readonly string[], signal: AbortSignal, stdin?: string): Promise<CommandResult> {
    return runCommand('kubectl', args, { env: this.env, ...(stdin === undefined ? {} : { stdin }) }, signal);
  }

  /** `kubectl get … -o json`. */
  async get<T>(args: readonly string[], signal: AbortSignal): Promise<T> {
    return JSON.parse((await this.kubectl(['get', ...args, '-o', 'json'], signal)).stdout) as T;
  }

  docker(args: readonly string[], signal: AbortSignal): Promise<CommandResult> {
    return runCommand('docker', args, { env: this.env }, signal);
  }

  /** What `gantry env` exports, beside what every program needs. */
  get env(): Record<string, string> {
    return { ...baseEnv(), ...this.#env };
  }

  /** A value of `gantry env`. */
  value(name: string): string {
    const value = this.#env[name];
    if (value === undefined) throw new GantryError('not-found', `gantry env does not print ${name}`);
    return value;
  }

  /** Process ids of the supervisor, the server and the agent, as `gantry status --json` gives them. */
  async processes(signal: AbortSignal): Promise<Record<'supervisor' | 'server' | 'agent', number>> {
    const status = await this.gantryJson<{ processes: { name: 'supervisor' | 'server' | 'agent'; pid: number }[] }>(['status'], signal);
    return Object.fromEntries(status.processes.map(({ name, pid }) => [name, pid])) as Record<'supervisor' | 'server' | 'agent', number>;
  }

  /** Removes every trace: containers, mounts, namespaces, tables, data. */
  async purge(signal: AbortSignal): Promise<void> {
    await this.gantry(['down', '--purge'], signal);
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

function unquote(value: string): string {
  return value.replace(/^'(.*)'$/, '$1').replace(/^"(.*)"$/, '$1');
}

/** Resident memory of a process in bytes, with the pages of the Node binary that it shares with the others. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}
