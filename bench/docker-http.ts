import { Agent, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { GantryError } from '../src/kernel/mod.ts';

/** The Docker API over a unix socket, without the docker program: what an engine takes, and nothing else. Disposing closes the connections. */
export class DockerHttp implements Disposable {
  readonly #socketPath: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 300 });

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  /** Sends a request and gives the whole answer, parsed when it is JSON. `internal` for a status that is no success. */
  async call<T = unknown>(method: string, path: string, body: unknown, signal: AbortSignal): Promise<T> {
    const response = await this.open(method, path, body, signal);
    const answer = await text(response);
    const status = response.statusCode ?? 0;
    if (status >= 400) throw new GantryError('internal', `${method} ${path}: ${status} ${answer.slice(0, 300)}`);
    return (answer.startsWith('{') || answer.startsWith('[') ? JSON.parse(answer) : answer) as T;
  }

  /** The answer as it comes. */
  open(method: string, path: string, body: unknown, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const payload = body === undefined ? '' : JSON.stringify(body);
      const headers = { host: 'docker', 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) };
      const sent = request({ socketPath: this.#socketPath, path: `/v1.41${path}`, method, headers, agent: this.#agent, signal }, resolve);
      sent.on('error', reject);
      sent.end(payload);
    });
  }

  async create(command: readonly string[], hostConfig: Record<string, unknown>, signal: AbortSignal): Promise<string> {
    const { Id } = await this.call<{ Id: string }>('POST', '/containers/create', { Image: 'bench/busybox', Cmd: command, HostConfig: hostConfig }, signal);
    return Id;
  }

  async start(id: string, signal: AbortSignal): Promise<void> {
    await this.call('POST', `/containers/${id}/start`, undefined, signal);
  }

  async wait(id: string, signal: AbortSignal): Promise<void> {
    await this.call('POST', `/containers/${id}/wait`, undefined, signal);
  }

  async remove(id: string, signal: AbortSignal): Promise<void> {
    await this.call('DELETE', `/containers/${id}?force=1`, undefined, signal);
  }

  /** The process id of the container's first process, on this machine. */
  async pidOf(id: string, signal: AbortSignal): Promise<number> {
    return (await this.call<{ State: { Pid: number } }>('GET', `/containers/${id}/json`, undefined, signal)).State.Pid;
  }
}
