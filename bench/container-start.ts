import { Dockerd } from './peers/dockerd.ts';
import { BareRunc } from './peers/bare-runc.ts';
import { busyboxContext } from './contexts.ts';
import { report, sample } from './report.ts';
import type { Instance } from '../test/story/instance.ts';

/** `docker run --rm busybox true`, start to exit, ours and dockerd by the same client; and runc with nothing around it. */
export async function benchContainerStart(instance: Instance, signal: AbortSignal): Promise<void> {
  await using context = await busyboxContext();
  await using dockerd = await Dockerd.open(signal);
  await using runc = await BareRunc.open(signal);
  await instance.docker(['build', '-q', '-t', 'bench/busybox', context.folder], signal);
  await dockerd?.docker(['build', '-q', '-t', 'bench/busybox', context.folder], signal);
  const args = ['run', '--rm', 'bench/busybox', '/bin/true'];
  report('container: docker run --rm … true, start to exit', [
    await sample('gantry', 30, () => instance.docker(args, signal)),
    ...(dockerd === undefined ? [] : [await sample('dockerd', 30, () => dockerd.docker(args, signal))]),
    await sample('runc run (bare)', 30, () => runc.runTrue(signal)),
    await sample('docker version (client)', 10, () => instance.docker(['version'], signal)),
  ]);
}
