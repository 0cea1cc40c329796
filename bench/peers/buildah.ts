import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { baseEnv, type CommandResult, runCommand } from '../../src/kernel/mod.ts';

/** Debian's buildah with storage of its own, as a peer. Its steps have no network: its bridge would need firewall rules on this machine. */
export class Buildah implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Undefined, with the reason printed, when there is no buildah. */
  static async open(signal: AbortSignal): Promise<Buildah | undefined> {
    const { code } = await runCommand('sh', ['-c', 'command -v buildah'], { okCodes: [0, 1, 127] }, signal);
    if (code !== 0) {
      console.log('  buildah: not installed, not measured (npm run setup bench)');
      return undefined;
    }
    const folder = await mkdtemp(join(tmpdir(), 'gantry-buildah-'));
    for (const name of ['root', 'run', 'tmp']) await mkdir(join(folder, name));
    return new Buildah(folder);
  }

  buildah(args: readonly string[], signal: AbortSignal, okCodes: readonly number[] = [0]): Promise<CommandResult> {
    const flags = ['--root', `${this.#folder}/root`, '--runroot', `${this.#folder}/run`, '--storage-driver', 'overlay'];
    return runCommand('buildah', [...flags, ...args], { env: { ...baseEnv(), TMPDIR: `${this.#folder}/tmp`, XDG_RUNTIME_DIR: `${this.#folder}/tmp` }, okCodes }, signal);
  }

  /** `buildah bud` with its layer cache, on files of the folder. */
  build(folder: string, tag: string, signal: AbortSignal): Promise<CommandResult> {
    return this.buildah(['bud', '-q', '--layers', '--network', 'none', '--runtime', 'runc', '--pull-never', '-t', tag, folder], signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const limit = AbortSignal.timeout(60_000);
    await this.buildah(['rm', '-a'], limit, [0, 1, 2, 125]).catch(() => undefined);
    for (const name of ['root/overlay', 'root']) await runCommand('umount', ['-q', '-l', join(this.#folder, name)], { okCodes: [0, 1, 32] }, limit);
    await rm(this.#folder, { recursive: true, force: true });
  }
}
