import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Dockerode from 'dockerode';
import { runCommand, withTimeout } from '../../../../src/kernel/mod.ts';
import { clientEnv, comparedVersion, type Daemon, runDocker } from '../daemon.ts';
import { normalize, type Plain } from '../normalize.ts';
import type { Bench, Case, CliAnswer } from './case.ts';
import { buildCases } from './build.ts';
import { cliCases } from './cli.ts';
import { composeCases, composeFiles } from './compose.ts';
import { containerCases } from './containers.ts';
import { objectCases } from './objects.ts';
import { registryCases } from './registry.ts';

const anyCode = Array.from({ length: 256 }, (_, code) => code);

/** The library that Node programs test with, in a process of its own. */
const testcontainers: Case = {
  name: 'testcontainers/servers, networks, waiting',
  run: async ({ daemon, signal }) => {
    // Its reaper would come from a registry; and where it believes to be in a container itself it would look for ports elsewhere.
    const env = { ...clientEnv(daemon), TESTCONTAINERS_RYUK_DISABLED: 'true', TESTCONTAINERS_HOST_OVERRIDE: 'localhost' };
    const { stdout } = await runCommand(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'testcontainers-worker.ts')], { env }, signal);
    return JSON.parse(stdout) as unknown;
  },
};

/** Every case. The client that a case needs is the first part of its name, where it is a program: `cli`, `compose`, `testcontainers`; all others go through dockerode. */
export const cases: readonly Case[] = [...containerCases, ...objectCases, ...registryCases, ...buildCases, ...cliCases, ...composeCases, testcontainers];

/** Runs one case against a daemon, and removes what it made. What fails otherwise than by an answer is thrown. */
export async function observe(one: Case, daemon: Daemon, signal: AbortSignal): Promise<Plain> {
  const docker = new Dockerode({ socketPath: daemon.socketPath, version: `v${comparedVersion}` });
  const limited = withTimeout(signal, 90_000);
  for (const [project, file] of Object.entries(composeFiles)) {
    mkdirSync(join(daemon.folder, project), { recursive: true });
    writeFileSync(join(daemon.folder, project, 'docker-compose.yml'), file);
  }
  const bench: Bench = {
    daemon, docker, signal: limited,
    cli: (args, stdin) => runDocker(daemon, args, limited, stdin),
    compose: async (project, ...args): Promise<CliAnswer> => runCommand('docker-compose', args, { cwd: join(daemon.folder, project), env: { ...clientEnv(daemon), COMPOSE_API_VERSION: comparedVersion }, okCodes: anyCode }, limited),
  };
  try {
    return normalize(await one.run(bench), daemon);
  } finally {
    await removeAll(docker);
    execFileSync('rm', ['-rf', join(daemon.folder, 'copied')]);
  }
}

async function removeAll(docker: Dockerode): Promise<void> {
  for (const { Id } of await docker.listContainers({ all: true })) await docker.getContainer(Id).remove({ force: true, v: true }).catch(ignoreGone);
  for (const { Name } of (await docker.listVolumes()).Volumes) await docker.getVolume(Name).remove();
  for (const { Id, Name } of await docker.listNetworks()) if (!['bridge', 'host', 'none'].includes(Name)) await docker.getNetwork(Id).remove();
  const busybox = await docker.getImage('busybox').inspect();
  for (const { Id, RepoTags } of await docker.listImages({ all: true })) {
    if (Id !== busybox.Id) await docker.getImage(Id).remove({ force: true }).catch(ignoreGone);
    else for (const tag of (RepoTags ?? []).filter((name) => name !== 'busybox:latest')) await docker.getImage(tag).remove();
  }
}

/** One with auto-remove may go by itself meanwhile. */
function ignoreGone(error: unknown): void {
  const { statusCode } = error as { statusCode?: number };
  if (statusCode !== 404 && statusCode !== 409) throw error;
}
