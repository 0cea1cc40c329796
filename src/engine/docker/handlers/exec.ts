import { z } from 'zod';
import { aborted, GantryError, withTimeout } from '../../../kernel/mod.ts';
import type { ExecSession } from '../../engine.ts';
import { type Call, type DockerServices, readJson, sendEmpty, sendJson } from '../call.ts';
import { defaultDetachKeys, parseDetachKeys } from '../detach-keys.ts';
import type { ExecEntry } from '../exec-table.ts';
import { feedInput, openRawStream } from '../raw-stream.ts';
import { command, dockerObject, optionalFlag, optionalText, texts } from '../requests/zero.ts';
import { integer, type Route, route } from '../route.ts';
import { terminalSize } from './streams.ts';

const createSchema = dockerObject({
  AttachStdin: optionalFlag, AttachStdout: optionalFlag, AttachStderr: optionalFlag, Cmd: command, ConsoleSize: z.tuple([z.int(), z.int()]).nullish(), Detach: optionalFlag, DetachKeys: optionalText, Env: texts,
  Privileged: optionalFlag, Tty: optionalFlag, User: optionalText, WorkingDir: optionalText,
});
const startSchema = dockerObject({
  ConsoleSize: z.tuple([z.int(), z.int()]).nullish(), Detach: optionalFlag, Tty: optionalFlag,
  // Options of dockerode's own that it sends along: how the connection is used is told by its headers.
  hijack: optionalFlag, stdin: optionalFlag,
});

async function createExec(call: Call, { engine, execs }: DockerServices): Promise<void> {
  const request = await readJson(call, createSchema);
  const { id, spec, status } = engine.containers.get((call.params['id'] ?? '').replace(/^\//, ''));
  if (request.Cmd === undefined || request.Cmd.length === 0) throw new GantryError('invalid', 'No exec command specified');
  if (status.state === 'paused') throw new GantryError('conflict', `Container ${id} is paused, unpause the container before exec`);
  if (status.state !== 'running') throw new GantryError('conflict', `container ${id} is not running`);
  const [height = 0, width = 0] = request.ConsoleSize ?? [];
  const keys = request.DetachKeys === undefined || request.DetachKeys === '' ? defaultDetachKeys : request.DetachKeys;
  parseDetachKeys(keys);
  const entry = execs.add(
    id,
    {
      args: request.Cmd, env: request.Env, workingDir: request.WorkingDir ?? '', user: request.User ?? '', tty: request.Tty ?? false, stdin: request.AttachStdin ?? false, isPrivileged: request.Privileged ?? false,
      ...(height > 0 && width > 0 ? { size: { width, height } } : {}),
    },
    { stdin: request.AttachStdin ?? false, stdout: request.AttachStdout ?? false, stderr: request.AttachStderr ?? false },
    keys,
  );
  engine.events.publish({ type: 'container', action: `exec_create: ${commandText(request.Cmd)}`, id, attributes: { ...spec.labels, name: spec.name, image: spec.image.reference, execID: entry.id } });
  sendJson(call, 201, { Id: entry.id });
}

/** Runs it, detached or over the connection. */
async function startExec(call: Call, services: DockerServices): Promise<void> {
  const { engine, execs } = services;
  const request = await readJson(call, startSchema);
  const entry = execs.get(call.params['id'] ?? '');
  if (entry.state !== 'created') throw new GantryError('conflict', `exec ${entry.id} has already run`);
  const [height = 0, width = 0] = request.ConsoleSize ?? [];
  const spec = height > 0 && width > 0 ? { ...entry.spec, size: { width, height } } : entry.spec;
  const isDetached = request.Detach ?? false;
  entry.state = 'running';
  const stop = new AbortController();
  const session = await engine.containers.exec(entry.containerId, { ...spec, stdin: spec.stdin && !isDetached }, stop.signal).catch((error: unknown) => {
    entry.state = 'exited';
    entry.exitCode = 126;
    entry.started.resolve();
    throw error;
  });
  entry.session = session;
  entry.started.resolve();
  publish(services, entry, 'exec_start: ');
  const ended = session.exit.then(({ exitCode }) => {
    entry.exitCode = exitCode;
    entry.state = 'exited';
    entry.session = undefined;
    publish(services, entry, 'exec_die', { exitCode: String(exitCode) });
  });
  if (!isDetached) {
    if (await carry(call, entry, session, ended)) publish(services, entry, 'exec_detach');
    return;
  }
  session.stdout.resume();
  session.stderr?.resume();
  ended.catch((error: unknown) => services.log.warn('a detached exec failed', { container: entry.containerId, err: error }));
  sendEmpty(call, 200);
}

/**
 * Stdio over the connection until the process ends or the client detaches (resolves to true). The process goes on when the client leaves, as under
 * Docker, and is read on; a client that stays and does not read holds up this one process, as a pipe does: there is no log that it could write to.
 */
async function carry(call: Call, entry: ExecEntry, session: ExecSession, ended: Promise<void>): Promise<boolean> {
  const { attach, spec } = entry;
  const stream = openRawStream(call, spec.tty);
  const left = Promise.withResolvers<true>();
  if (attach.stdin && session.stdin !== undefined) {
    const keys = spec.tty ? parseDetachKeys(entry.detachKeys) : undefined;
    void feedInput(stream.input, session.stdin, keys).then((isDetached) => isDetached && left.resolve(true));
  } else stream.input.resume();
  const copy = async (name: 'stdout' | 'stderr', isWanted: boolean): Promise<void> => {
    let isOpen = isWanted;
    for await (const chunk of (session[name] ?? []) as AsyncIterable<Buffer>) if (isOpen) isOpen = await stream.write(name, chunk);
  };
  const output = Promise.all([copy('stdout', attach.stdout || spec.tty), copy('stderr', attach.stderr), ended]).then(() => false);
  const isDetached = await Promise.race([output, left.promise]);
  stream.end();
  return isDetached;
}

/** As Docker writes it: the program, a space, and the arguments. */
function commandText([program = '', ...args]: readonly string[]): string {
  return `${program} ${args.join(' ')}`;
}

function publish({ engine }: DockerServices, { containerId, id, spec }: ExecEntry, action: string, extra: Record<string, string> = {}): void {
  const container = engine.containers.list().find((record) => record.id === containerId);
  const attributes = { ...container?.spec.labels, name: container?.spec.name ?? '', image: container?.spec.image.reference ?? '', execID: id, ...extra };
  engine.events.publish({ type: 'container', action: action.endsWith(' ') ? `${action}${commandText(spec.args)}` : action, id: containerId, attributes });
}

const maxStartWaitMs = 10_000;

/** Of one that has not begun it waits for the start: clients send both at once. */
async function resizeExec(call: Call, { execs }: DockerServices, { h, w }: { h: number | undefined; w: number | undefined }): Promise<void> {
  const size = terminalSize(h, w);
  const entry = execs.get(call.params['id'] ?? '');
  await Promise.race([entry.started.promise, aborted(withTimeout(call.signal, maxStartWaitMs))]);
  if (entry.session === undefined) throw new GantryError('conflict', 'the exec is not running');
  entry.session.resize(size);
  sendEmpty(call, 200);
}

function inspectExec(call: Call, { execs }: DockerServices): void {
  const { id, containerId, spec, attach, state, exitCode, session, detachKeys } = execs.get(call.params['id'] ?? '');
  const [entrypoint = '', ...args] = spec.args;
  sendJson(call, 200, {
    ID: id, ContainerID: containerId, Running: state === 'running', ExitCode: state === 'exited' ? (exitCode ?? null) : null, Pid: session?.pid ?? 0, CanRemove: false, DetachKeys: detachKeys === defaultDetachKeys ? '' : detachKeys,
    OpenStdin: attach.stdin, OpenStdout: attach.stdout, OpenStderr: attach.stderr,
    ProcessConfig: { entrypoint, arguments: args, tty: spec.tty, privileged: spec.isPrivileged, user: spec.user },
  });
}

export const execRoutes: readonly Route[] = [
  route({ method: 'POST', path: '/containers/{id}/exec', summary: 'Create an exec instance', body: createSchema, handle: createExec }),
  route({ method: 'POST', path: '/exec/{id}/start', summary: 'Start an exec instance', body: startSchema, isHijacked: true, handle: startExec }),
  route({ method: 'POST', path: '/exec/{id}/resize', summary: 'Resize an exec instance', query: { h: integer, w: integer }, handle: resizeExec }),
  route({ method: 'GET', path: '/exec/{id}/json', summary: 'Inspect an exec instance', handle: inspectExec }),
];
