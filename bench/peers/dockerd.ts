import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { baseEnv, type CommandResult, pollUntil, runCommand } from '../../src/kernel/mod.ts';
import { processesOf } from '../process-costs.ts';

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
    // Two with the same addresses on one machine would not reach their containers.
    await runCommand('ip', ['addr', 'add', `10.213.${process.pid % 256}.1/24`, 'dev', bridge], {}, signal);
    await runCommand('ip', ['link', 'set', bridge, 'up'], {}, signal);
    const flags = [`--config-file=${folder}/daemon.json`, `--data-root=${folder}/data`, `--exec-root=${folder}/exec`, `--pidfile=${folder}/pid`, `-H=unix://${folder}/docker.sock`];
    const child = spawn('dockerd', [...flags, `--bridge=${bridge}`, '--iptables=false', '--ip-masq=false', '--log-level=error'], { stdio: 'ignore', env: baseEnv() });
    const dockerd = new Dockerd(folder, bridge, child);
    await dockerd.#ready(signal).catch(async (error: unknown) => {
      await dockerd[Symbol.asyncDispose]();
      throw error;
    });
    return dockerd;
  }

  async #ready(signal: AbortSignal): Promise<void> {
    await pollUntil('dockerd', async () => ((await this.docker(['version'], signal, [0, 1])).code === 0 ? true : undefined), { timeoutMs: 60_000, intervalMs: 100 }, signal);
  }

  /** Part of the command line of each of its processes, those that stay with containers included. */
  get folder(): string {
    return this.#folder;
  }

  get socketPath(): string {
    return `${this.#folder}/docker.sock`;
  }

  docker(args: readonly string[], signal: AbortSignal, okCodes: readonly number[] = [0]): Promise<CommandResult> {
    const env = { ...baseEnv(), DOCKER_HOST: `unix://${this.#folder}/docker.sock`, DOCKER_BUILDKIT: '0' };
    return runCommand('docker', args, { env, okCodes }, signal);
  }

  /** Stops the daemon, what is left of its containers and containerd, their mounts and the bridge; goes on whatever fails. */
  async [Symbol.asyncDispose](): Promise<void> {
    const limit = AbortSignal.timeout(120_000);
    const all = await this.docker(['ps', '-aq'], limit, [0, 1]).then(({ stdout }) => stdout.split('\n').filter((id) => id !== ''), () => []);
    if (all.length > 0) await this.docker(['rm', '-f', ...all], limit, [0, 1]).catch(() => undefined);
    if (this.#process.exitCode === null) {
      const exited = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()));
      const kill = setTimeout(() => this.#process.kill('SIGKILL'), 30_000);
      this.#process.kill('SIGTERM');
      await exited;
      clearTimeout(kill);
    }
    for (const pid of await processesOf(this.#folder)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
    const { stdout } = await runCommand('sh', ['-c', 'cut -d" " -f5 /proc/self/mountinfo'], {}, limit);
    for (const target of stdout.split('\n').filter((path) => path.startsWith(`${this.#folder}/`)).toReversed()) await runCommand('umount', ['-l', target], { okCodes: [0, 1, 32] }, limit);
    await runCommand('ip', ['link', 'del', this.#bridge], { okCodes: [0, 1] }, limit);
    await rm(this.#folder, { recursive: true, force: true });
  }
}
