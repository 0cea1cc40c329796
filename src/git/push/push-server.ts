import { chmod, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { GantryError, type Logger, parseWith, randomHex, throwIfAborted } from '../../kernel/mod.ts';
import type { HookReply } from '../hook/messages.ts';
import type { RepositoryName } from '../names.ts';
import { hookVariables } from './hooks-folder.ts';
import { objectIdOf, type PushReceiver } from './receiver.ts';

const requestSchema = z.strictObject({
  token: z.string(),
  isAtomic: z.boolean(),
  commands: z.array(z.strictObject({ before: z.string(), after: z.string(), ref: z.string() })).max(10_000),
});

interface PushContext {
  repository: RepositoryName;
  actor: string;
  signal: AbortSignal;
}

/**
 * Where the hook program reports to. Every push that the HTTP front starts is announced here first and gets a token that is good for
 * this push alone, so the hook can claim neither another repository nor another user.
 */
export class PushServer {
  readonly #receiver: PushReceiver;
  readonly #log: Logger;
  readonly #server: Server;
  readonly #socketPath: string;
  readonly #pushes = new Map<string, PushContext>();
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();

  constructor(receiver: PushReceiver, socketPath: string, log: Logger) {
    this.#receiver = receiver;
    this.#log = log;
    this.#socketPath = socketPath;
    this.#server = createServer((socket) => this.#track(this.#serve(socket)));
  }

  /** Listens on the unix socket, which must be shorter than 108 bytes and may be left over from a crash. */
  static async open(receiver: PushReceiver, socketPath: string, log: Logger): Promise<PushServer> {
    await rm(socketPath, { force: true });
    const server = new PushServer(receiver, socketPath, log);
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject);
      server.#server.listen(socketPath, resolve);
    });
    await chmod(socketPath, 0o600);
    return server;
  }

  /** Announces a push: the variables its git process needs, and how to end it. The signal aborts the push's gate. */
  announce(repository: RepositoryName, actor: string, signal: AbortSignal): { variables: Record<string, string>; end: () => void } {
    throwIfAborted(this.#stop.signal);
    const token = randomHex(16);
    this.#pushes.set(token, { repository, actor, signal: AbortSignal.any([signal, this.#stop.signal]) });
    return { variables: { [hookVariables.socket]: this.#socketPath, [hookVariables.token]: token }, end: () => void this.#pushes.delete(token) };
  }

  /** Refuses what is still being decided, tells the pushers, and stops listening. Doing so again does nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(new GantryError('unavailable', 'the server is stopping; push again'));
    await Promise.allSettled(this.#running);
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await rm(this.#socketPath, { force: true });
  }

  #track(work: Promise<void>): void {
    this.#running.add(work);
    void work.finally(() => this.#running.delete(work));
  }

  async #serve(socket: Socket): Promise<void> {
    const gone = new AbortController();
    socket.on('error', () => gone.abort(new GantryError('cancelled', 'the pusher went away')));
    socket.on('close', () => gone.abort(new GantryError('cancelled', 'the pusher went away')));
    const send = (reply: HookReply): void => {
      if (!socket.destroyed) socket.write(`${JSON.stringify(reply)}\n`);
    };
    try {
      const request = parseWith(requestSchema, JSON.parse(await firstLine(socket)), 'hook request');
      const push = this.#pushes.get(request.token);
      if (push === undefined) throw new GantryError('forbidden', 'the push was not started by this server');
      // A token is good for one hook: a second connection with it would be somebody else.
      this.#pushes.delete(request.token);
      const changes = request.commands.map(({ before, after, ref }) => ({ ref, before: objectIdOf(before), after: objectIdOf(after) }));
      const answer = {
        write: (text: string) => {
          for (const line of text.split('\n')) send({ line });
        },
        report: (ref: string, verdict: { isAccepted: boolean; reason?: string }) => send({ report: { ref, ...verdict } }),
      };
      await this.#receiver.receive({ ...push, isAtomic: request.isAtomic, changes }, answer, AbortSignal.any([push.signal, gone.signal]));
      send({ done: true });
    } catch (error) {
      if (!gone.signal.aborted) this.#log.warn('hook request refused', { err: error });
    } finally {
      socket.end();
    }
  }
}

function firstLine(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = createInterface({ input: socket });
    // The reader passes the socket's errors on; the socket's own listeners deal with them.
    reader.on('error', () => undefined);
    reader.once('line', resolve);
    reader.once('close', () => reject(new GantryError('cancelled', 'the hook went away')));
  });
}
