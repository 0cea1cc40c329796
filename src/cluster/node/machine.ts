import { readFileSync, statfsSync } from 'node:fs';
import { arch, availableParallelism, hostname, release, totalmem } from 'node:os';
import type { k8s } from '../../api/mod.ts';
import { shortHash } from '../../kernel/mod.ts';

/** What the machine has and is. */
export interface Machine {
  readonly hostname: string;
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  /** Of the file system the node's data is on. */
  readonly diskBytes: number;
  readonly info: Pick<k8s.NodeSystemInfo, 'architecture' | 'bootID' | 'kernelVersion' | 'machineID' | 'operatingSystem' | 'osImage' | 'systemUUID'>;
}

/** Reads the machine. A cgroup's limits are not looked at: the agent is meant to own the machine. */
export function readMachine(dataFolder: string): Machine {
  const disk = statfsSync(dataFolder);
  const machineId = readIfExists('/etc/machine-id') ?? shortHash(hostname(), 32);
  const osRelease = readIfExists('/etc/os-release') ?? '';
  return {
    hostname: hostname(),
    cpuMilli: availableParallelism() * 1000,
    memoryBytes: totalmem(),
    diskBytes: disk.bsize * disk.blocks,
    info: {
      architecture: ({ x64: 'amd64' } as Record<string, string>)[arch()] ?? arch(),
      bootID: readIfExists('/proc/sys/kernel/random/boot_id') ?? '',
      kernelVersion: release(),
      machineID: machineId,
      operatingSystem: 'linux',
      osImage: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(osRelease)?.[1] ?? 'Linux',
      systemUUID: readIfExists('/sys/class/dmi/id/product_uuid') ?? machineId,
    },
  };
}

function readIfExists(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}
