import { spawn } from 'node:child_process';
import { open, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { baseEnv, type ErrorCode, errorCodes, GantryError } from '../../kernel/mod.ts';
import { type ChildRole, endpointsOf, type Instance, locateInstance, readInstance, runRole, runUp } from '../../server/mod.ts';
import { readEnvironment } from '../environment.ts';
import { print } from '../output.ts';
import type { InstanceOptions } from '../session.ts';

/** Small young generations: the processes are idle most of the time, and memory is what an operator pays for. */
const memoryFlags = ['--max-semi-space-size=2', '--disable-warning=ExperimentalWarning'];

const mainFile = resolve(import.meta.dirname, '../main.ts');

/** Two heaps of the C library are enough (by default there is one for each thread), and compiled code is kept as bin/gantry does. */
const memoryVariables = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072', NODE_COMPILE_CACHE: resolve(import.meta.dirname, '../../../node_modules/.cache/gantry') };

/** Runs the instance in the foreground, or with `detach` starts it and returns when it serves. */
export async function up(options: InstanceOptions & { detach?: boolean }): Promise<void> {
  const location = await locateInstance(options.dataDir ?? readEnvironment().dataDir);
  if (options.detach === true) {
    await detach(location.paths.dataDir);
    return printEndpoints(await readInstance(location));
  }
  // The preparing process takes the same flags that we were given, and judges them.
  const flags = process.argv.slice(process.argv.indexOf('up') + 1);
  const command = (role: ChildRole | 'prepare') => ({
    execPath: process.execPath,
    args: [...memoryFlags, mainFile, role, ...(role === 'prepare' ? flags : ['--supervised']), `--data-dir=${location.paths.dataDir}`],
    env: memoryVariables,
  });
  const isTold = process.send !== undefined;
  await runRole((onReady, signal) =>
    runUp({ location, command }, () => {
      onReady();
      // Nobody waits for a word: this is a terminal, or a service manager's log.
      if (!isTold) void readInstance(location).then(printEndpoints);
    }, signal), { outlivesParent: true });
}

function printEndpoints(instance: Instance): void {
  const { api, web, registry, docker } = endpointsOf(instance);
  const { dataDir } = instance.paths;
  print(`Gantry is ready.
  Kubernetes API   ${api}
  git and logs     ${web}
  registry         ${registry}
  Docker API       ${docker}
Use it:  eval "$(gantry env --data-dir ${dataDir})"
Stop it: gantry down --data-dir ${dataDir}`);
}

/** Starts the same command in a session of its own and waits for its first word. */
async function detach(dataDir: string): Promise<void> {
  // The child's folder is named in full: it does not inherit our environment, and the last of two options counts.
  const args = [...process.argv.slice(2).filter((argument) => argument !== '--detach'), `--data-dir=${dataDir}`];
  await mkdir(join(dataDir, 'log'), { recursive: true, mode: 0o700 });
  const log = await open(join(dataDir, 'log', 'supervisor.log'), 'a', 0o600);
  const child = spawn(process.execPath, [...memoryFlags, mainFile, ...args], { detached: true, stdio: ['ignore', log.fd, log.fd, 'ipc'], env: { ...baseEnv(), ...memoryVariables } });
  await log.close();
  const failure = await new Promise<GantryError | undefined>((done) => {
    let said: GantryError | undefined;
    child.on('message', (message: { type: string; code?: string; message?: string }) => {
      if (message.type === 'ready') return done(undefined);
      said = new GantryError(codeOf(message.code), message.message ?? 'the start failed');
    });
    child.once('error', (error) => done(new GantryError('internal', 'cannot start the supervisor', { cause: error })));
    child.once('exit', (code) => done(said ?? new GantryError('unavailable', `the supervisor ended with exit code ${code ?? 'unknown'}; see ${join(dataDir, 'log', 'supervisor.log')}`)));
  });
  if (failure !== undefined) throw failure;
  child.disconnect();
  child.unref();
}

function codeOf(text: string | undefined): ErrorCode {
  return errorCodes.find((code) => code === text) ?? 'internal';
}
