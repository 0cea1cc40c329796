import type { Readable } from 'node:stream';
import { apiVersionOf, type KubeList, type KubeObject, type ObjectRef, resources, type ResourceType, type Stored, type WatchEvent } from '../api/mod.ts';
import { isError } from '../kernel/mod.ts';
import type { DeleteOptions, KubeClient, ListOptions, Patch, PodExecOptions, PodLogOptions, WatchOptions } from './client.ts';
import type { KubeConnection } from './connection.ts';
import { execOverWebSocket } from './exec.ts';
import { collectionPath, namespaceOf, objectPath, withQuery, writtenRef } from './paths.ts';
import { Transport } from './transport.ts';
import { readWatch } from './watch-stream.ts';

/** A client for one API server. Nothing is connected until the first call; dispose it to close its connections. */
export function openKubeClient(connection: KubeConnection): KubeClient & AsyncDisposable {
  return new HttpKubeClient(connection);
}

const patchContentTypes = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} satisfies Record<Patch['type'], string>;

/** The server closes a watch after this time, spread by up to as much again, so that half-open connections do not live for ever. */
const watchTimeoutSeconds = 300;

class HttpKubeClient implements KubeClient, AsyncDisposable {
  readonly #connection: KubeConnection;
  readonly #transport: Transport;

  constructor(connection: KubeConnection) {
    this.#connection = connection;
    this.#transport = new Transport(connection);
  }

  async get<T extends KubeObject>(type: ResourceType<T>, ref: ObjectRef, signal: AbortSignal): Promise<Stored<T>> {
    return this.#call('GET', objectPath(type, ref), undefined, signal);
  }

  async list<T extends KubeObject>(type: ResourceType<T>, options: ListOptions, signal: AbortSignal): Promise<KubeList<T>> {
    const list = await this.#call<KubeList<T>>('GET', withQuery(collectionPath(type, options.namespace), selection(options)), undefined, signal);
    // Servers leave these out inside a list; owner references and events need them.
    for (const item of list.items) {
      item.apiVersion ??= apiVersionOf(type);
      item.kind ??= type.kind;
    }
    return list;
  }

  async *watch<T extends KubeObject>(type: ResourceType<T>, options: WatchOptions, signal: AbortSignal): AsyncGenerator<WatchEvent<T>> {
    const timeoutSeconds = Math.floor(watchTimeoutSeconds * (1 + Math.random()));
    const query = { ...selection(options), watch: true, allowWatchBookmarks: true, resourceVersion: options.resourceVersion, timeoutSeconds };
    const path = withQuery(collectionPath(type, options.namespace), query);
    const body = await this.#transport.stream({ method: 'GET', path }, signal);
    yield* readWatch<T>(body, `watch ${type.plural}`, signal);
  }

  async create<T extends KubeObject>(type: ResourceType<T>, object: T, signal: AbortSignal): Promise<Stored<T>> {
    const path = collectionPath(type, namespaceOf(type, object.metadata?.namespace));
    return this.#call('POST', path, typed(type, object), signal);
  }

  async update<T extends KubeObject>(type: ResourceType<T>, object: T, signal: AbortSignal): Promise<Stored<T>> {
    return this.#call('PUT', objectPath(type, writtenRef(object)), typed(type, object), signal);
  }

  async updateStatus<T extends KubeObject>(type: ResourceType<T>, object: T, signal: AbortSignal): Promise<Stored<T>> {
    return this.#call('PUT', objectPath(type, writtenRef(object), 'status'), typed(type, object), signal);
  }

  async patch<T extends KubeObject>(type: ResourceType<T>, ref: ObjectRef, patch: Patch, signal: AbortSignal): Promise<Stored<T>> {
    const path = withQuery(objectPath(type, ref, patch.subresource), { fieldManager: patch.fieldManager, force: patch.force });
    return (await this.#transport.json({ method: 'PATCH', path, body: patch.body, contentType: patchContentTypes[patch.type] }, signal)) as Stored<T>;
  }

  async delete<T extends KubeObject>(type: ResourceType<T>, ref: ObjectRef, options: DeleteOptions, signal: AbortSignal): Promise<void> {
    const body = { kind: 'DeleteOptions', apiVersion: 'v1', ...options };
    try {
      await this.#call('DELETE', objectPath(type, ref), body, signal);
    } catch (error) {
      if (!isError(error, 'not-found')) throw error;
    }
  }

  request(method: string, path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    return this.#transport.json({ method, path, body }, signal);
  }

  stream(path: string, signal: AbortSignal): Promise<Readable> {
    return this.#transport.stream({ method: 'GET', path }, signal);
  }

  async exec(pod: ObjectRef, options: PodExecOptions, signal: AbortSignal): Promise<{ exitCode: number }> {
    const path = withQuery(objectPath(resources.pods, pod, 'exec'), {
      container: options.container,
      command: options.command,
      stdin: options.stdin !== undefined || undefined,
      stdout: true,
      stderr: true,
    });
    return execOverWebSocket(this.#connection, path, options, signal);
  }

  async logs(pod: ObjectRef, options: PodLogOptions, signal: AbortSignal): Promise<Readable> {
    return this.#transport.stream({ method: 'GET', path: withQuery(objectPath(resources.pods, pod, 'log'), { ...options }) }, signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#transport[Symbol.asyncDispose]();
  }

  async #call<R>(method: string, path: string, body: unknown, signal: AbortSignal): Promise<R> {
    return (await this.#transport.json({ method, path, body }, signal)) as R;
  }
}

function selection({ labelSelector, fieldSelector, limit, continue: token }: ListOptions): Record<string, string | number | undefined> {
  return { labelSelector, fieldSelector, limit, continue: token };
}

function typed<T extends KubeObject>(type: ResourceType<T>, object: T): T {
  return { ...object, apiVersion: apiVersionOf(type), kind: type.kind };
}
