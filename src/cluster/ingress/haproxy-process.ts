import { spawn } from 'node:child_process';
import { mkdir, readdir, rename, rm, unlink } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { baseEnv, formatError, GantryError, isError, type Logger, pollUntil, readTextIfExists, runCommand, withTimeout, writeFileAtomic } from '../../kernel/mod.ts';
import { type HaproxyConfig, renderHaproxy } from './haproxy-config.ts';
import type { RoutingModel } from './model.ts';

export interface HaproxyOptions {
  /** In memory (below /run): configuration, keys and sockets. */
  readonly folder: string;
  /** Default `haproxy`. */
  readonly program?: string;
  /** Where listeners bind. Default every address. */
  readonly address?: string;
}

const commandTimeoutMs = 10_000;

/**
 * HAProxy as a process of its own that outlives this one. Endpoints change through its runtime API; what needs another
 * configuration is a reload of the master process, which hands the listening sockets on: no connection is refused or cut.
 */
export class HaproxyProcess {
  readonly #options: HaproxyOptions;
  readonly #log: Logger;
  #running: HaproxyConfig | undefined;
  #isRecovered = false;

  constructor(options: HaproxyOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
  }

  /** Makes HAProxy do what the model says. Resolves when it does. A model without listeners ends it. */
  async apply(model: RoutingModel, signal: AbortSignal): Promise<void> {
    const { folder, address = '*' } = this.#options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const isAlive = await this.#isAlive();
    if (model.listeners.length === 0) {
      if (isAlive) await this.stop(signal);
      this.#running = undefined;
      return;
    }
    const slots = new Map((this.#running?.backends ?? []).map((backend) => [backend.name, backend.slots]));
    const config = renderHaproxy(model, { folder, address }, slots);
    if (isAlive && this.#running?.text === config.text && this.#running.structure === config.structure) return;
    // What leaves does so at once, also from a worker that is about to be replaced.
    if (isAlive && this.#running !== undefined) await this.#applyServers(this.#running, config, signal);
    const isSameStructure = isAlive && this.#running?.structure === config.structure;
    await this.#write(config, isSameStructure, signal);
    if (!isAlive) await this.#start(signal);
    else if (!isSameStructure) await this.#reload(signal);
    this.#running = config;
    await this.#removeOldFiles(config);
  }

  /** Those of the ports that another program has, with what is to be said about it. HAProxy's own are not asked for. */
  async busyPorts(ports: Iterable<number>): Promise<Map<number, string>> {
    const { folder, address = '*' } = this.#options;
    const config = (await this.#isAlive()) ? await readTextIfExists(join(folder, 'haproxy.cfg')) : undefined;
    const own = new Set([...(config ?? '').matchAll(/^frontend port-(\d+)$/gm)].map(([, port]) => Number(port)));
    const busy = new Map<number, string>();
    for (const port of new Set(ports)) {
      const problem = own.has(port) ? undefined : await bindProblem(port, address === '*' ? '0.0.0.0' : address);
      if (problem !== undefined) busy.set(port, problem);
    }
    return busy;
  }

  /** Ends HAProxy. */
  async stop(signal: AbortSignal): Promise<void> {
    const pid = await this.#pid();
    if (pid === undefined) return;
    process.kill(pid, 'SIGTERM');
    await pollUntil('HAProxy to end', async () => ((await this.#pid()) === undefined ? true : undefined), { timeoutMs: commandTimeoutMs, intervalMs: 20 }, signal);
  }

  /** Only servers that exist in both are touched; the rest is the reload's. */
  async #applyServers(before: HaproxyConfig, next: HaproxyConfig, signal: AbortSignal): Promise<void> {
    const commands: string[] = [];
    for (const { name, servers, slots } of next.backends) {
      const old = before.backends.find((backend) => backend.name === name);
      if (old === undefined) continue;
      for (let index = 0; index < Math.min(slots, old.slots); index += 1) {
        const [was, now] = [old.servers[index], servers[index]];
        const server = `${name}/s${index}`;
        if (now === undefined) {
          if (was !== undefined) commands.push(`set server ${server} state maint`);
          continue;
        }
        if (was?.address !== now.address || was.port !== now.port) commands.push(`set server ${server} addr ${now.address} port ${now.port}`);
        if (was?.weight !== now.weight) commands.push(`set server ${server} weight ${now.weight}`);
        if (was === undefined) commands.push(`set server ${server} state ready`);
      }
    }
    for (let at = 0; at < commands.length; at += 50) await this.#command('admin.sock', commands.slice(at, at + 50).join('; '), signal);
  }

  /** A configuration that HAProxy does not take never replaces one that works. */
  async #write(config: HaproxyConfig, isChecked: boolean, signal: AbortSignal): Promise<void> {
    const { folder, program = 'haproxy' } = this.#options;
    for (const [name, content] of config.files) await writeFileAtomic(join(folder, name), content);
    const file = join(folder, 'haproxy.cfg');
    await writeFileAtomic(`${file}.new`, config.text);
    if (!isChecked) {
      const { code, stderr, stdout } = await runCommand(program, ['-c', '-f', `${file}.new`], { okCodes: [0, 1, 2] }, withTimeout(signal, commandTimeoutMs));
      if (code !== 0) throw new GantryError('invalid', `HAProxy refuses the configuration: ${`${stderr}${stdout}`.trim().split('\n').slice(0, 5).join(' ')}`);
    }
    await rename(`${file}.new`, file);
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { folder, program = 'haproxy' } = this.#options;
    for (const name of ['admin.sock', 'master.sock', 'pid']) await unlink(join(folder, name)).catch(() => undefined);
    const child = spawn(program, ['-W', '-D', '-f', join(folder, 'haproxy.cfg'), '-p', join(folder, 'pid'), '-S', `${join(folder, 'master.sock')},mode,600`], { stdio: ['ignore', 'ignore', 'pipe'], env: baseEnv(), detached: true });
    const complaint = text(child.stderr).catch(() => '');
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', (error) => reject(new GantryError('unavailable', `cannot run ${program}`, { cause: error })));
      child.once('exit', (exitCode) => resolve(exitCode ?? 1));
    });
    if (code !== 0) throw new GantryError('unavailable', `HAProxy does not start: ${(await complaint).trim().split('\n').slice(0, 5).join(' ')}`);
    child.stderr.destroy();
    await this.#answers(undefined, signal);
  }

  async #reload(signal: AbortSignal): Promise<void> {
    const before = await this.#workers(signal);
    // The master closes the connection when it starts over.
    await this.#command('master.sock', 'reload', signal).catch((error: unknown) => this.#log.debug('reload', { error: formatError(error) }));
    await this.#answers(before, signal);
  }

  /** Waits until a worker that was not there before takes commands. */
  async #answers(before: ReadonlySet<string> | undefined, signal: AbortSignal): Promise<void> {
    await pollUntil('HAProxy to run the configuration', async () => {
      try {
        const workers = await this.#workers(signal);
        const isNew = before === undefined ? workers.size > 0 : [...workers].some((pid) => !before.has(pid));
        if (!isNew) return undefined;
        await this.#command('admin.sock', 'show info', signal);
        return true;
      } catch (error) {
        if (signal.aborted || !isError(error, 'unavailable')) throw error;
        return undefined;
      }
    }, { timeoutMs: commandTimeoutMs, intervalMs: 5 }, signal);
  }

  /** Process ids of the workers that take new connections. */
  async #workers(signal: AbortSignal): Promise<Set<string>> {
    const answer = await this.#command('master.sock', 'show proc', signal);
    const current = answer.split('# old workers')[0] ?? '';
    return new Set([...current.matchAll(/^(\d+)\s+worker/gm)].map(([, pid]) => pid ?? ''));
  }

  async #command(socketName: string, command: string, signal: AbortSignal): Promise<string> {
    const socket = connect(join(this.#options.folder, socketName));
    const stop = withTimeout(signal, commandTimeoutMs);
    const onAbort = (): void => void socket.destroy(new Error('gave up'));
    stop.addEventListener('abort', onAbort, { once: true });
    try {
      socket.end(`${command}\n`);
      const answer = await text(socket);
      if (/^(Invalid|Unknown|No such|Require)/m.test(answer)) throw new GantryError('internal', `HAProxy: ${answer.trim()}`);
      return answer;
    } catch (error) {
      throw isError(error) ? error : new GantryError('unavailable', 'HAProxy does not answer', { cause: error });
    } finally {
      stop.removeEventListener('abort', onAbort);
      socket.destroy();
    }
  }

  /** One that an earlier agent left is taken over: its next change is a reload. */
  async #isAlive(): Promise<boolean> {
    const isAlive = (await this.#pid()) !== undefined;
    if (isAlive && !this.#isRecovered && this.#running === undefined) this.#log.info('HAProxy runs already', {});
    this.#isRecovered = true;
    return isAlive;
  }

  async #pid(): Promise<number | undefined> {
    const pid = Number((await readTextIfExists(join(this.#options.folder, 'pid')))?.trim().split('\n')[0]);
    if (!Number.isInteger(pid) || pid <= 0) return undefined;
    // The number may be another program's by now.
    const commandLine = await readTextIfExists(`/proc/${pid}/cmdline`).catch(() => undefined);
    return commandLine?.includes(join(this.#options.folder, 'haproxy.cfg')) === true ? pid : undefined;
  }

  /** Keys of certificates that nothing names any more. */
  async #removeOldFiles({ files }: HaproxyConfig): Promise<void> {
    const names = await readdir(this.#options.folder);
    await Promise.all(names.filter((name) => name.startsWith('certificate') && !files.has(name)).map((name) => rm(join(this.#options.folder, name), { force: true })));
  }
}

function bindProblem(port: number, host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EADDRINUSE' ? `port ${port} is taken by another program of the node` : `port ${port} cannot be had: ${error.code ?? error.message}`));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}
