import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { baseEnv, type CommandResult, runCommand } from '../../src/kernel/mod.ts';

/**
 * Debian's podman with storage and state of its own, as a peer. Containers have no network: its bridge would need firewall rules on this machine,
 * so it does less than the others here. runc and cgroupfs as the others have them.
 */
export class Podman implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Undefined, with the reason printed, when there is no podman. */
  static async open(signal: AbortSignal): Promise<Podman | undefined> {
    const { code } = await runCommand('sh', ['-c', 'command -v podman'], { okCodes: [0, 1, 127] }, signal);
    if (code !== 0) {
      console.log('  podman: not installed, not measured (npm run setup bench)');
      return undefined;
    }
    const folder = await mkdtemp(join(tmpdir(), 'gantry-podman-'));
    for (const name of ['root', 'run', 'tmp']) await mkdir(join(folder, name));
    await writeFile(join(folder, 'containers.conf'), `[engine]\ntmp_dir = "${folder}/tmp"\nevents_logger = "file"\n[network]\nnetwork_config_dir = "${folder}/net"\n`);
    return new Podman(folder);
  }

  /** The folder that is part of the command line of every process of this podman. */
  get folder(): string {
    return this.#folder;
  }

  podman(args: readonly string[], signal: AbortSignal, okCodes: readonly number[] = [0]): Promise<CommandResult> {
    const flags = ['--root', `${this.#folder}/root`, '--runroot', `${this.#folder}/run`, '--storage-driver', 'overlay', '--cgroup-manager', 'cgroupfs', '--runtime', 'runc'];
    return runCommand('podman', [...flags, ...args], { env: { ...baseEnv(), CONTAINERS_CONF: `${this.#folder}/containers.conf`, XDG_RUNTIME_DIR: `${this.#folder}/tmp` }, okCodes }, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const limit = AbortSignal.timeout(60_000);
    await this.podman(['rm', '-f', '-a', '-t', '0'], limit, [0, 1, 2, 125]).catch(() => undefined);
    for (const name of ['root/overlay', 'root']) await runCommand('umount', ['-q', '-l', join(this.#folder, name)], { okCodes: [0, 1, 32] }, limit);
    await rm(this.#folder, { recursive: true, force: true });
  }
}
