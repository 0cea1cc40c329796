import { readdirSync, readFileSync } from 'node:fs';
import { readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatError, GantryError, pollUntil, runCommand } from '../kernel/mod.ts';
import type { InstanceLocation } from './location.ts';
import { madePaths } from './paths.ts';
import { type MachineState, planPurge } from './purge-plan.ts';

/**
 * Removes everything of a stopped instance from the machine: containers, mounts, namespaces, links, nftables tables, cgroups, data.
 * Works from names alone, so it needs no working engine. `internal` lists what could not be removed; a second run tries again.
 */
export async function purgeInstance({ id, paths }: InstanceLocation, signal: AbortSignal): Promise<void> {
  const instance = { id, dataDir: paths.dataDir, runDir: paths.runDir };
  const problems: string[] = [];
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      problems.push(`${what}: ${formatError(error)}`);
    }
  };
  if (process.getuid?.() === 0) {
    const look = async (): Promise<ReturnType<typeof planPurge>> => planPurge(instance, await machineState(signal), ownPids());
    await attempt('processes', async () => killAll(look, signal));
    const plan = await look();
    for (const table of plan.tables) await attempt(`nftables table ${table}`, () => runCommand('nft', ['delete', 'table', ...table.split(' ')], {}, signal));
    for (const link of plan.links) await attempt(`link ${link}`, () => removeLink(link, signal));
    for (const mount of plan.mounts) await attempt(`mount ${mount}`, () => runCommand('umount', ['-l', mount], {}, signal));
    for (const cgroup of plan.cgroups) await attempt(`cgroup ${cgroup}`, () => removeCgroup(cgroup, signal));
  }
  if (problems.length > 0) throw new GantryError('internal', `not everything could be removed, so the data is kept:\n  ${problems.join('\n  ')}`);
  await rm(paths.runDir, { recursive: true, force: true });
  // The user's own files stay: the configuration, and whatever else they keep in the folder.
  for (const path of madePaths(paths)) await rm(path, { recursive: true, force: true });
  await rmdir(paths.dataDir).catch(() => undefined);
}

/** SIGKILL until no process of the instance is left: a monitor may start a last helper when its container dies. */
async function killAll(look: () => Promise<{ pids: readonly number[] }>, signal: AbortSignal): Promise<void> {
  await pollUntil('all processes of the instance to end', async () => {
    const { pids } = await look();
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended between the look and the signal.
      }
    }
    return pids.length === 0 ? true : undefined;
  }, { timeoutMs: 10_000 }, signal);
}

/** A veth's other end goes with it, so it may be gone already. */
async function removeLink(link: string, signal: AbortSignal): Promise<void> {
  const { code } = await runCommand('ip', ['link', 'delete', link], { okCodes: [0, 1] }, signal);
  if (code !== 0 && readdirSync('/sys/class/net').includes(link)) throw new GantryError('internal', 'the link cannot be deleted');
}

/** The kernel refuses while it still takes leave of a killed process, or while a child remains. */
async function removeCgroup(path: string, signal: AbortSignal): Promise<void> {
  await pollUntil(`cgroup ${path} to be empty`, async () => {
    try {
      await rmdir(path);
      return true;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return true;
      await writeFile(join(path, 'cgroup.kill'), '1').catch(() => undefined);
      return undefined;
    }
  }, { timeoutMs: 5000 }, signal);
}

async function machineState(signal: AbortSignal): Promise<MachineState> {
  return {
    mountinfo: await readFile('/proc/self/mountinfo', 'utf8'),
    links: await readdir('/sys/class/net'),
    tables: await listTables(signal),
    cgroups: await listCgroups(),
    processes: (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map((name) => ({ pid: Number(name), commandLine: readProc(name, 'cmdline'), cgroups: readProc(name, 'cgroup') })),
  };
}

async function listTables(signal: AbortSignal): Promise<string[]> {
  try {
    const { stdout } = await runCommand('nft', ['list', 'tables'], {}, signal);
    return stdout.split('\n').filter((line) => line.startsWith('table ')).map((line) => line.slice('table '.length));
  } catch (error) {
    // Without nft there are no tables of ours.
    if (error instanceof GantryError && error.code === 'unavailable') return [];
    throw error;
  }
}

/** Every folder below every cgroup hierarchy (v1 controllers and v2) that has `gantry-` in its path. */
async function listCgroups(): Promise<string[]> {
  const root = '/sys/fs/cgroup';
  const found: string[] = [];
  const visit = async (folder: string, depth: number): Promise<void> => {
    for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
      if (!entry.isDirectory()) continue;
      const path = join(folder, entry.name);
      const isOurs = path.includes('/gantry-');
      if (isOurs) found.push(path);
      if (isOurs || depth < 3) await visit(path, depth + 1);
    }
  };
  await visit(root, 0);
  return found;
}

function readProc(pid: string, file: 'cmdline' | 'cgroup'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}

/** This process and its ancestors. */
function ownPids(): number[] {
  const pids: number[] = [];
  for (let pid = process.pid; pid > 1 && pids.length < 64; ) {
    pids.push(pid);
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    pid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  }
  return pids;
}
