import { interleave, report } from '../report.ts';
import { apiPeers, type EnginePeers } from './peers.ts';

const args = ['run', '--rm', 'bench/busybox', '/bin/true'];

/** `docker run --rm busybox true`, start to exit, by the client and by the API alone. */
export async function benchRun(peers: EnginePeers, signal: AbortSignal): Promise<void> {
  const { gantry, dockerd, podman, runc } = peers;
  report('run: docker run --rm … true, start to exit', await interleave({ times: 25, budgetMs: 45_000 }, {
    gantry: () => gantry.docker(args, signal),
    ...(dockerd === undefined ? {} : { dockerd: () => dockerd.docker(args, signal) }),
    ...(podman === undefined ? {} : { 'podman (no network)': () => podman.podman(['run', '--rm', '--network', 'none', '--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024', 'bench/busybox', '/bin/true'], signal) }),
    'runc run (bare)': () => runc.runTrue(signal),
    'docker version (client)': () => gantry.docker(['version'], signal),
  }));
  const byApi = Object.fromEntries(apiPeers(peers).map(({ who, api }) => [who, async () => {
    const id = await api.create(['/bin/true'], { AutoRemove: false }, signal);
    await api.start(id, signal);
    await api.wait(id, signal);
    await api.remove(id, signal);
  }]));
  report('run: create, start, wait, remove by the API, without the client program', await interleave({ times: 25, budgetMs: 45_000 }, { ...byApi, 'runc run (bare)': () => runc.runTrue(signal) }));
}

/** A command in a running container. */
export async function benchExec(peers: EnginePeers, signal: AbortSignal): Promise<void> {
  const { gantry, dockerd, podman, runc } = peers;
  const name = 'bench-exec';
  const start = ['run', '-d', '--name', name, 'bench/busybox', '/bin/sleep', '100000'];
  const exec = ['exec', name, '/bin/true'];
  for (const peer of apiPeers(peers)) await peer.docker(start, signal);
  await podman?.podman([...start.slice(0, 2), '--network', 'none', '--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024', ...start.slice(2)], signal);
  await using sleeper = await runc.startSleeper(signal);
  report('exec: docker exec … true', await interleave({ times: 25, budgetMs: 45_000 }, {
    gantry: () => gantry.docker(exec, signal),
    ...(dockerd === undefined ? {} : { dockerd: () => dockerd.docker(exec, signal) }),
    ...(podman === undefined ? {} : { podman: () => podman.podman(exec, signal) }),
    'runc exec (bare)': () => sleeper.execTrue(signal),
    'docker version (client)': () => gantry.docker(['version'], signal),
  }));
  for (const peer of apiPeers(peers)) await peer.docker(['rm', '-f', name], signal);
  await podman?.podman(['rm', '-f', '-t', '0', name], signal);
}
