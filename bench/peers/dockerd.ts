import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { baseEnv, type CommandResult, pollUntil, runCommand } from '../../src/kernel/mod.ts';

/** Debian's dockerd with a data folder, socket and bridge of its own, as a peer. It gets no packet filter rules: neither do bare runs. */
export class Dockerd implements AsyncDisposable {
  readonly #folder: string;
  readonly #bridge: string;
  readonly #process: ChildProcess;

  private constructor(folder: string, bridge: string, process: ChildProcess) {
    this.#folder = folder;
    this.#bridge = bridge;
    this.#process = process;
  }

  /** Undefined, with the reason printed, when there is no dockerd. */
  static async open(signal: AbortSignal): Promise<Dockerd | undefined> {
    const folder = await mkdtemp(join(tmpdir(), 'gantry-dockerd-'));
    const bridge = `gtb${process.pid % 100_000}`;
    await mkdir(join(folder, 'data'));
    await writeFile(join(folder, 'daemon.json'), '{}');
    const { code } = await runCommand('sh', ['-c', 'command -v dockerd'], { okCodes: [0, 1, 127] }, signal);
    if (code !== 0) {
      console.log('  dockerd: not installed, not measured (npm run setup bench)');
      return undefined;
    }
    await runCommand('ip', ['link', 'add', bridge, 'type', 'bridge'], {}, signal);
    await runCommand('ip', ['addr', 'add', '10.213.0.1/24', 'dev', bridge], {}, signal);
    await runCommand('ip', ['link', 'set', bridge, 'up'], {}, signal);
    const flags = [`--config-file=${folder}/daemon.json`, `--data-root=${folder}/data`, `--exec-root=${folder}/exec`, `--pidfile=${folder}/pid`, `-H=unix://${folder}/docker.sock`];
    const child = spawn('dockerd', [...flags, `--bridge=${bridge}`, '--iptables=false', '--ip-masq=false', '--log-level=error'], { stdio: 'ignore', env: baseEnv() });
    const dockerd = new Dockerd(folder, bridge, child);
    await pollUntil('dockerd', async () => ((await dockerd.docker(['version'], signal, [0, 1])).code === 0 ? true : undefined), { timeoutMs: 30_000, intervalMs: 100 }, signal);
    return dockerd;
  }

  docker(args: readonly string[], signal: AbortSignal, okCodes: readonly number[] = [0]): Promise<CommandResult> {
    const env = { ...baseEnv(), DOCKER_HOST: `unix://${this.#folder}/docker.sock`, DOCKER_BUILDKIT: '0' };
    return runCommand('docker', args, { env, okCodes }, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGTERM');
    await exited;
    await runCommand('ip', ['link', 'del', this.#bridge], {}, AbortSignal.timeout(5_000));
    await rm(this.#folder, { recursive: true, force: true });
  }
}
