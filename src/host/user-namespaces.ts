import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { baseEnv, cancelled, GantryError, isError, runCommand } from '../kernel/mod.ts';
import { unpinNamespace } from './namespaces.ts';
import { mount, mountFlags } from './syscalls.ts';
import { sysctlPath } from './sysctl.ts';

/** A range of ids of the host that a user namespace shows as 0 to `size` - 1. */
export interface IdRange {
  readonly firstId: number;
  readonly size: number;
}

/**
 * Makes a user namespace whose ids are the range, and the others that it owns, and pins each by a bind mount on its file.
 * By a program that is told to make them: a process with several threads cannot enter a user namespace (setns(2)). About 5 ms.
 */
export async function pinUserNamespace(files: { user: string; net: string; ipc?: string; uts?: string }, range: IdRange, signal: AbortSignal): Promise<void> {
  await pin(files, ['unshare', ...Object.keys(files).map((kind) => `--${kind}`)], (pid) => {
    const map = `0 ${range.firstId} ${range.size}\n`;
    for (const file of ['uid_map', 'gid_map']) writeFileSync(`/proc/${pid}/${file}`, map);
  }, signal);
}

/** Makes and pins a network namespace that an existing user namespace owns. */
export async function pinNetworkOf(userNamespaceFile: string, net: string, signal: AbortSignal): Promise<void> {
  await pin({ net }, ['nsenter', `--user=${userNamespaceFile}`, '--', 'unshare', '--net'], () => undefined, signal);
}

/**
 * Writes settings of namespaces that a user namespace owns, as its root: those of IPC are not even the host's root to change. By programs, for
 * the reason that `pinUserNamespace` has.
 */
export async function writeSysctlsWithin(files: { user: string; net: string; ipc: string }, settings: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
  const enter = [...Object.entries(files).map(([kind, file]) => `--${kind}=${file}`), '--setuid', '0', '--setgid', '0', '--', 'sh', '-c', 'printf %s "$2" > "$1"', 'sh'];
  for (const [name, value] of Object.entries(settings)) {
    await runCommand('nsenter', [...enter, sysctlPath(name), value], {}, signal).catch((error: unknown) => {
      throw isError(error, 'cancelled') ? error : new GantryError('unsupported', `cannot set ${name} to ${value}`, { cause: error });
    });
  }
}

/** Runs a program that makes namespaces, and pins those of the files. */
async function pin(files: Readonly<Record<string, string>>, command: readonly string[], setUp: (pid: number) => void, signal: AbortSignal): Promise<void> {
  for (const file of Object.values(files)) unpinNamespace(file);
  const [program = '', ...args] = command;
  const helper = spawn(program, [...args, 'sh', '-c', 'echo made; read -r wait'], { stdio: ['pipe', 'pipe', 'pipe'], env: baseEnv() });
  const ended = once(helper, 'close');
  ended.catch(() => undefined);
  try {
    await untilMade(helper.stdout, ended, signal);
    setUp(helper.pid ?? 0);
    for (const [kind, file] of Object.entries(files)) {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, '', { flag: 'a', mode: 0o600 });
      mount(`/proc/${helper.pid ?? 0}/ns/${kind}`, file, '', mountFlags.bind);
    }
  } catch (error) {
    for (const file of Object.values(files)) unpinNamespace(file);
    throw error;
  } finally {
    helper.stdin.end();
    await ended.catch(() => undefined);
  }
}

async function untilMade(output: NodeJS.ReadableStream, ended: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const made = once(output, 'data', { signal });
  const gone = ended.then(() => Promise.reject(new GantryError('unavailable', 'no user namespace could be made: is user.max_user_namespaces 0?')), (error: unknown) => {
    throw new GantryError('unavailable', 'the program unshare cannot be run', { cause: error });
  });
  try {
    await Promise.race([made, gone]);
  } catch (error) {
    throw signal.aborted ? cancelled(signal) : error;
  } finally {
    gone.catch(() => undefined);
    made.catch(() => undefined);
  }
}

/** The ids of a process's user namespace as ids of the host; undefined when they are the host's. Only maps of one range that begins at 0 are ours. */
export function idRangeOf(pid: number): IdRange | undefined {
  const [inside, firstId, size] = readFileSync(`/proc/${pid}/uid_map`, 'utf8').trim().split(/\s+/).map(Number);
  return inside === 0 && firstId !== undefined && firstId !== 0 && size !== undefined ? { firstId, size } : undefined;
}
