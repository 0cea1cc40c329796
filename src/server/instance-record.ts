import { z } from 'zod';
import { GantryError } from '../kernel/mod.ts';
import { type Cidr, cidrsOverlap, formatCidr, parseCidr } from './cidr.ts';
import type { Settings } from './settings.ts';

/** What is chosen once for an instance and kept in `instance.json`. */
export const instanceRecordSchema = z.strictObject({
  version: z.literal(1),
  instanceId: z.string(),
  dataDir: z.string(),
  apiPort: z.int(),
  httpPort: z.int(),
  registryPort: z.int(),
  agentPort: z.int(),
  serviceCidr: z.string(),
  podCidr: z.string(),
  containerCidr: z.string(),
});
export type InstanceRecord = z.output<typeof instanceRecordSchema>;

const portDefaults = { apiPort: 6443, httpPort: 7080, registryPort: 5000, agentPort: 10_250 } as const;
type PortName = keyof typeof portDefaults;
const portNames = Object.keys(portDefaults) as PortName[];
type NetworkName = 'serviceCidr' | 'podCidr' | 'containerCidr';
const flagOf: Record<PortName | NetworkName, string> = {
  apiPort: '--api-port',
  httpPort: '--http-port',
  registryPort: '--registry-port',
  agentPort: '--agent-port',
  serviceCidr: '--service-cidr',
  podCidr: '--pod-cidr',
  containerCidr: '--container-cidr',
};

/** What the machine has in use, without this instance's own share. */
export interface MachineUse {
  /** Whether something listens on 127.0.0.1:port, or another instance has chosen it. */
  isPortUsed(port: number): boolean;
  readonly networks: readonly Cidr[];
}

/**
 * Decides ports and networks: an explicit setting wins, then what was chosen before, then the default, then the next that is free.
 * `conflict`: a port that was asked for or chosen before is in use. `invalid`: networks overlap, or a network would change.
 */
export function planRecord(instanceId: string, dataDir: string, settings: Settings, previous: InstanceRecord | undefined, use: MachineUse): InstanceRecord {
  const ports = {} as Record<PortName, number>;
  const taken = new Set<number>(portNames.flatMap((name) => settings[name] ?? previous?.[name] ?? []));
  for (const name of portNames) {
    const wanted = settings[name] ?? previous?.[name];
    ports[name] = wanted ?? nextPort(portDefaults[name], (port) => taken.has(port) || use.isPortUsed(port));
    if (wanted !== undefined && use.isPortUsed(wanted)) throw new GantryError('conflict', `port ${wanted} is in use by another program; choose another with ${flagOf[name]}`);
    taken.add(ports[name]);
  }
  if (new Set(Object.values(ports)).size < portNames.length) throw new GantryError('invalid', `the ports must differ: ${portNames.map((name) => `${flagOf[name]} ${ports[name]}`).join(', ')}`);
  const serviceCidr = network('serviceCidr', settings, previous, serviceCandidates(), use.networks);
  const podCidr = network('podCidr', settings, previous, podCandidates(), [...use.networks, parseCidr(serviceCidr)]);
  const containerCidr = network('containerCidr', settings, previous, containerCandidates(), [...use.networks, parseCidr(serviceCidr), parseCidr(podCidr)]);
  return { version: 1, instanceId, dataDir, ...ports, serviceCidr, podCidr, containerCidr };
}

function nextPort(first: number, isUsed: (port: number) => boolean): number {
  for (let port = first; port < first + 1000; port += 1) if (!isUsed(port)) return port;
  throw new GantryError('exhausted', `no free port between ${first} and ${first + 999}`);
}

function network(name: NetworkName, settings: Settings, previous: InstanceRecord | undefined, candidates: readonly string[], used: readonly Cidr[]): string {
  const [wanted, chosen] = [settings[name], previous?.[name]];
  if (chosen !== undefined) {
    if (wanted === undefined || wanted === chosen) return chosen;
    throw new GantryError('invalid', `${flagOf[name]} is ${chosen} since this instance was made and cannot become ${wanted}; use a new data folder, or 'gantry down --purge' first`);
  }
  if (wanted !== undefined) {
    const other = used.find((cidr) => cidrsOverlap(cidr, parseCidr(wanted)));
    if (other !== undefined) throw new GantryError('conflict', `${flagOf[name]} ${wanted} overlaps ${formatCidr(other)}, which this machine already uses`);
    return wanted;
  }
  const free = candidates.find((candidate) => !used.some((cidr) => cidrsOverlap(cidr, parseCidr(candidate))));
  if (free === undefined) throw new GantryError('exhausted', `no free network for ${flagOf[name]}; name one`);
  return free;
}

function serviceCandidates(): string[] {
  return Array.from({ length: 32 }, (_, index) => `10.${96 + index}.0.0/16`);
}

function containerCandidates(): string[] {
  return Array.from({ length: 32 }, (_, index) => `10.${160 + index}.0.0/16`);
}

function podCandidates(): string[] {
  return [...Array.from({ length: 11 }, (_, index) => `10.${244 + index}.0.0/16`), ...Array.from({ length: 40 }, (_, index) => `10.${200 + index}.0.0/16`)];
}
