import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../src/kernel/mod.ts';

/** `runc run` of a busybox bundle: what a container costs when nothing is around it. No network is set up. */
export class BareRunc implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(signal: AbortSignal): Promise<BareRunc> {
    const folder = await mkdtemp(join(tmpdir(), 'gantry-runc-'));
    await mkdir(join(folder, 'rootfs/bin'), { recursive: true });
    await cp('/bin/busybox', join(folder, 'rootfs/bin/true'));
    await runCommand('runc', ['spec', '--bundle', folder], {}, signal);
    const path = join(folder, 'config.json');
    const spec = JSON.parse(await readFile(path, 'utf8')) as { process: { terminal: boolean; args: string[] } };
    spec.process.terminal = false;
    spec.process.args = ['/bin/true'];
    await writeFile(path, JSON.stringify(spec));
    return new BareRunc(folder);
  }

  async runTrue(signal: AbortSignal): Promise<void> {
    await runCommand('runc', ['--root', join(this.#folder, 'state'), 'run', '--bundle', this.#folder, `bench-${process.pid}`], {}, signal);
  }

  /** A container that runs until disposed, for `runc exec`. */
  async startSleeper(signal: AbortSignal): Promise<AsyncDisposable & { execTrue(signal: AbortSignal): Promise<void> }> {
    const bundle = join(this.#folder, 'sleeper');
    await mkdir(join(bundle, 'rootfs/bin'), { recursive: true });
    for (const name of ['true', 'sleep']) await cp('/bin/busybox', join(bundle, 'rootfs/bin', name));
    const spec = JSON.parse(await readFile(join(this.#folder, 'config.json'), 'utf8')) as { process: { args: string[] } };
    spec.process.args = ['/bin/sleep', '100000'];
    await writeFile(join(bundle, 'config.json'), JSON.stringify(spec));
    const [id, root] = [`bench-sleeper-${process.pid}`, join(this.#folder, 'state')];
    // Without pipes of ours, which the container would hold open.
    await runCommand('sh', ['-c', 'exec runc --root "$0" run --detach --bundle "$1" "$2" < /dev/null > /dev/null 2>&1', root, bundle, id], {}, signal);
    return {
      execTrue: async (own) => void (await runCommand('runc', ['--root', root, 'exec', id, '/bin/true'], {}, own)),
      [Symbol.asyncDispose]: async () => void (await runCommand('runc', ['--root', root, 'delete', '--force', id], { okCodes: [0, 1] }, AbortSignal.timeout(20_000))),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
