import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Dockerd } from '../../../bench/peers/dockerd.ts';
import { openTestDocker, type TestDocker } from '../../../src/engine/docker/testing/test-docker.ts';
import { Builder, builderConfigSchema } from '../../../src/builder/mod.ts';
import type { ImageBuilder } from '../../../src/engine/mod.ts';
import { baseEnv, type CommandResult, GantryError, runCommand, silentLogger } from '../../../src/kernel/mod.ts';
import { buildRuntimeOf } from '../../../src/server/adapters/build-runtime.ts';
import { imageBuilderOf } from '../../../src/server/adapters/image-builder.ts';

/** Something that answers the Docker Engine API and has the image `busybox:latest`: what clients are pointed at. */
export interface Daemon extends AsyncDisposable {
  readonly name: 'gantry' | 'dockerd';
  readonly socketPath: string;
  /** What the daemon keeps its own files under: prefixes of paths in its answers. */
  readonly ownFolders: readonly string[];
  /** For the files of cases; empty at first. */
  readonly folder: string;
  /** The command line client, a program's name or path. */
  readonly client: string;
}

/** The API version that all clients of the suite speak: the newest that Debian's dockerd 20.10 has. */
export const comparedVersion = '1.41';

/** Why containers cannot be run here, or false. */
export function whyNotHere(...programs: readonly string[]): string | false {
  if (process.getuid?.() !== 0) return 'needs root: containers';
  const missing = programs.find((program) => !isInstalled(program));
  return missing === undefined ? false : `${missing} is not installed`;
}

/** The first number of the version of a command line client: its words and columns change with it. Undefined where there is none. */
export function clientMajor(client = 'docker'): string | undefined {
  if (!isInstalled(client)) return undefined;
  return /version (\d+)\./.exec(execFileSync(client, ['--version'], { encoding: 'utf8', env: baseEnv() }))?.[1];
}

/** Whether docker-compose is the version of the recording: 1.29, the last one in Python, which Debian has. */
export function hasCompose(): boolean {
  return isInstalled('docker-compose') && execFileSync('docker-compose', ['version', '--short'], { encoding: 'utf8', env: baseEnv() }).startsWith('1.29.');
}

export function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `PATH=$PATH:/usr/sbin:/sbin command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** This repository's engine with its builder and its Docker API, put together as the agent does. */
export async function openGantry(client = 'docker'): Promise<Daemon & { readonly docker: TestDocker }> {
  await using opening = new AsyncDisposableStack();
  let builder: ImageBuilder | undefined;
  const docker = opening.use(await openTestDocker({ builder: { cache: { list: async (signal) => (await builder?.cache?.list(signal)) ?? [], prune: async (signal) => (await builder?.cache?.prune(signal)) ?? { mountBytes: 0 } }, build: async (request, output, signal) => builder?.build(request, output, signal) ?? Promise.reject(new GantryError('unavailable', 'the builder is not open')) } }));
  const folder = mkdtempSync(join(tmpdir(), 'gantry-cases-'));
  opening.defer(() => rmSync(folder, { recursive: true, force: true }));
  const { rootFolder, runFolder } = docker.engine.options;
  const runtime = buildRuntimeOf({ engine: docker.engine.engine, images: docker.images, credentialsFor: () => undefined });
  builder = imageBuilderOf(opening.use(await Builder.open({ runtime, folder: join(docker.folder, 'builder'), runFolder: join(docker.folder, 'building'), environment: { certificateBundle: undefined, proxyVariables: {} }, config: builderConfigSchema.parse({}), log: silentLogger() })));
  const parts = opening.move();
  return { name: 'gantry', docker, client, socketPath: docker.socketPath, folder, ownFolders: [rootFolder, runFolder, docker.folder], [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

/** Debian's dockerd with folders of its own and the very same image as `model`. Undefined when it is not installed. */
export async function openDockerd(model: Daemon, signal: AbortSignal): Promise<(Daemon & { readonly version: (signal: AbortSignal) => Promise<string> }) | undefined> {
  const dockerd = await Dockerd.open(signal);
  if (dockerd === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'gantry-cases-'));
  const archive = join(folder, 'busybox.tar');
  const daemon = {
    name: 'dockerd' as const, client: model.client, socketPath: dockerd.socketPath, folder, ownFolders: [dockerd.folder],
    version: async (limit: AbortSignal) => (await dockerd.docker(['version', '--format', '{{.Server.Version}}'], limit)).stdout.trim(),
    [Symbol.asyncDispose]: async () => {
      await dockerd[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await runDocker(model, ['save', '-o', archive, 'busybox'], signal);
  await runDocker(daemon, ['load', '-q', '-i', archive], signal);
  rmSync(archive);
  return daemon;
}

/** The environment of a client of the daemon, without anything of the user's own. */
export function clientEnv({ socketPath, folder }: Daemon): Record<string, string> {
  return { ...baseEnv(), DOCKER_HOST: `unix://${socketPath}`, DOCKER_CONFIG: join(folder, 'config'), DOCKER_API_VERSION: comparedVersion, DOCKER_BUILDKIT: '0', HOME: folder, TERM: 'xterm' };
}

/** The real command line client. Any exit code is an answer. */
export function runDocker(daemon: Daemon, args: readonly string[], signal: AbortSignal, stdin = ''): Promise<CommandResult> {
  return runCommand(daemon.client, args, { env: clientEnv(daemon), okCodes: Array.from({ length: 256 }, (_, code) => code), stdin }, signal);
}
