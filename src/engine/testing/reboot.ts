import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { deleteTable, LinkTable, openNftables, removeLink, unmountBelow } from '../../host/mod.ts';
import { Cgroups } from '../cgroups/cgroups.ts';
import { readCgroupLayout } from '../cgroups/layout.ts';
import { readPidFile } from '../runtime/monitor.ts';
import type { TestEngine } from './test-engine.ts';

/** Closes the engine and leaves of the instance what a power cut leaves: its durable folder. Processes, cgroups, mounts, namespaces, links and tables go. */
export async function simulateReboot({ engine, options }: TestEngine, signal: AbortSignal): Promise<void> {
  await engine[Symbol.asyncDispose]();
  const runs = join(options.runFolder, 'c');
  const monitors = readdirSync(runs).map((name) => readPidFile(join(runs, name, 'conmon.pid')));
  for (const pid of monitors) if (pid !== undefined) process.kill(pid, 'SIGKILL');
  const cgroups = new Cgroups(readCgroupLayout(), options.instanceId);
  await cgroups.kill(cgroups.rootPath, signal);
  cgroups.remove(cgroups.rootPath);
  unmountBelow(options.runFolder);
  rmSync(options.runFolder, { recursive: true });
  using links = LinkTable.open();
  for (const { name } of links.list()) if (name.startsWith(`g${options.instanceId.slice(0, 6)}`)) await removeLink(name);
  using nftables = openNftables();
  nftables.apply(deleteTable('ip', `gantry-${options.instanceId}-engine`));
}
