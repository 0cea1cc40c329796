import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Instance } from '../../test/story/instance.ts';
import { busyboxContext } from '../contexts.ts';
import { DockerHttp } from '../docker-http.ts';
import { BareRunc } from '../peers/bare-runc.ts';
import { Dockerd } from '../peers/dockerd.ts';
import { Podman } from '../peers/podman.ts';
import { processesOf } from '../process-costs.ts';

/** An engine with a Docker socket. */
export interface ApiPeer {
  readonly who: string;
  readonly api: DockerHttp;
  docker(args: readonly string[], signal: AbortSignal): Promise<unknown>;
  /** All processes of the engine itself, those that stay with containers included; not the containers'. */
  processes(signal: AbortSignal): Promise<number[]>;
}

/** Everything that is measured against everything; each has the image `bench/busybox`. */
export interface EnginePeers extends AsyncDisposable {
  readonly gantry: ApiPeer;
  readonly dockerd: ApiPeer | undefined;
  readonly podman: Podman | undefined;
  readonly runc: BareRunc;
}

/** Starts the peers and gives each the same image. */
export async function openEnginePeers(instance: Instance, signal: AbortSignal): Promise<EnginePeers> {
  const stack = new AsyncDisposableStack();
  try {
    const runc = stack.use(await BareRunc.open(signal));
    const dockerd = await Dockerd.open(signal);
    if (dockerd !== undefined) stack.use(dockerd);
    const podman = await Podman.open(signal);
    if (podman !== undefined) stack.use(podman);
    await using context = await busyboxContext();
    await instance.docker(['build', '-q', '-t', 'bench/busybox', context.folder], signal);
    const folder = await mkdtemp(join(tmpdir(), 'gantry-bench-'));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    const archive = join(folder, 'image.tar');
    await instance.docker(['save', '-o', archive, 'bench/busybox'], signal);
    await dockerd?.docker(['load', '-q', '-i', archive], signal);
    await podman?.podman(['load', '-q', '-i', archive], signal);
    const gantry: ApiPeer = {
      who: 'gantry',
      api: stack.use(new DockerHttp(instance.value('DOCKER_HOST').replace('unix://', ''))),
      docker: (args, own) => instance.docker(args, own),
      processes: async (own) => [(await instance.processes(own)).agent, ...(await monitorsOf(instance))],
    };
    const peer: ApiPeer | undefined = dockerd === undefined ? undefined : {
      who: 'dockerd', api: stack.use(new DockerHttp(dockerd.socketPath)), docker: (args, own) => dockerd.docker(args, own), processes: () => processesOf(dockerd.folder),
    };
    const owned = stack.move();
    return { gantry, dockerd: peer, podman, runc, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** The monitors that stay with containers. */
async function monitorsOf(instance: Instance): Promise<number[]> {
  const pids = await processesOf(`${instance.dataDir}/`);
  const names = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/comm`, 'utf8').then((name) => name.trim(), () => '')));
  return pids.filter((_, at) => names[at] === 'conmon');
}

/** The engines with a socket. */
export function apiPeers({ gantry, dockerd }: EnginePeers): ApiPeer[] {
  return dockerd === undefined ? [gantry] : [gantry, dockerd];
}
