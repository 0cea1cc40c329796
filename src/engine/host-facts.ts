import { readFile } from 'node:fs/promises';
import { errnoOf, GantryError, type Logger } from '../kernel/mod.ts';
import { grantableCapabilities } from './bundle/capabilities.ts';
import { type HostLimits, ownLimits } from './bundle/rlimits.ts';
import { hardenProfile, parseSeccompProfile, type SeccompProfile } from './bundle/seccomp.ts';
import { type CgroupLayout, readCgroupLayout } from './cgroups/layout.ts';
import { detectRuntime, type RuntimePrograms } from './runtime/detect.ts';

/** What this machine offers; read once when the engine opens. */
export interface HostFacts {
  readonly programs: RuntimePrograms;
  readonly layout: CgroupLayout;
  readonly capabilities: ReadonlySet<string>;
  readonly limits: HostLimits;
  /** The profile of ordinary containers. */
  readonly seccomp: SeccompProfile;
  readonly ownOomScoreAdj: number;
}

/** Where containers-common installs the default profile. */
const seccompFile = '/usr/share/containers/seccomp.json';

/** `unavailable` names the package that is missing: nothing runs without a seccomp profile. */
export async function readHostFacts(wantedRuntime: 'runc' | 'crun' | undefined, log: Logger, signal: AbortSignal): Promise<HostFacts> {
  const layout = readCgroupLayout();
  const capabilities = grantableCapabilities();
  const programs = await detectRuntime({ cgroupVersion: layout.version, canRaiseLimits: capabilities.has('CAP_SYS_RESOURCE') }, wantedRuntime, signal);
  const seccomp = await readSeccomp();
  const ownOomScoreAdj = Number(await readFile('/proc/self/oom_score_adj', 'utf8'));
  log.debug('container host', { runtime: programs.name, version: programs.version, cgroupVersion: layout.version });
  return { programs, layout, capabilities, limits: ownLimits(capabilities), seccomp, ownOomScoreAdj };
}

async function readSeccomp(): Promise<SeccompProfile> {
  try {
    return hardenProfile(parseSeccompProfile(await readFile(seccompFile, 'utf8'), seccompFile));
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    throw new GantryError('unavailable', `${seccompFile} is missing: install golang-github-containers-common`, { cause: error });
  }
}
