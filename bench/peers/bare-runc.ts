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

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
