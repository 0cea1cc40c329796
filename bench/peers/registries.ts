import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { baseEnv, pollUntil, runCommand } from '../../src/kernel/mod.ts';

/** A registry in a process of its own, with an empty folder. */
export interface MeasuredRegistry extends AsyncDisposable {
  readonly who: string;
  readonly url: string;
  readonly folder: string;
  readonly pid: number;
  /** The most memory that it had since the last call, in MB. */
  peakMb(): Promise<number>;
  cpuSeconds(): Promise<number>;
}

/** Ours, as the server process runs it. */
export function openOwnRegistry(signal: AbortSignal): Promise<MeasuredRegistry> {
  return start('gantry', (folder, port) => [process.execPath, [join(import.meta.dirname, 'own-registry.ts'), folder, String(port)]], signal);
}

/** Debian's docker-registry; undefined, with the reason printed, when it is not installed. */
export async function openDockerRegistry(signal: AbortSignal): Promise<MeasuredRegistry | undefined> {
  const { code } = await runCommand('sh', ['-c', 'command -v docker-registry'], { okCodes: [0, 1, 127] }, signal);
  if (code !== 0) {
    console.log('  docker-registry: not installed, not measured (npm run setup bench)');
    return undefined;
  }
  return start('docker-registry', async (folder, port) => {
    const config = join(folder, 'config.yml');
    await writeFile(config, JSON.stringify({ version: '0.1', log: { level: 'error', accesslog: { disabled: true } }, storage: { filesystem: { rootdirectory: folder }, cache: { blobdescriptor: 'inmemory' } }, http: { addr: `127.0.0.1:${port}` } }));
    return ['docker-registry', ['serve', config]];
  }, signal);
}

type Command = readonly [program: string, args: readonly string[]];

async function start(who: string, command: (folder: string, port: number) => Command | Promise<Command>, signal: AbortSignal): Promise<MeasuredRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-bench-registry-'));
  const port = await freePort();
  const [program, args] = await command(folder, port);
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'], env: baseEnv() });
  const url = `http://127.0.0.1:${port}`;
  await pollUntil(who, async () => ((await fetch(`${url}/v2/`).catch(() => undefined))?.ok === true ? true : undefined), { timeoutMs: 30_000, intervalMs: 50 }, signal);
  return { who, url, folder, pid: child.pid ?? 0, peakMb: () => peakMb(child), cpuSeconds: () => cpuSeconds(child), [Symbol.asyncDispose]: () => stop(child, folder) };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function stop(child: ChildProcess, folder: string): Promise<void> {
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await exited;
  await rm(folder, { recursive: true, force: true });
}

async function peakMb(child: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
  await writeFile(`/proc/${child.pid}/clear_refs`, '5');
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

async function cpuSeconds(child: ChildProcess): Promise<number> {
  const fields = (await readFile(`/proc/${child.pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
