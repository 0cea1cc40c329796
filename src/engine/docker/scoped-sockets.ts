import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError, type Logger, Mutex, parseWith, randomHex, readTextIfExists } from '../../kernel/mod.ts';
import type { Engine } from '../engine.ts';
import type { ImageStore } from '../images/types.ts';
import { type ScopePolicy, type ScopeRecord, scopeRecordSchema, type ScopeRequest, scopeRequestSchema } from '../scopes/policy.ts';
import { removeScope } from '../scopes/remove-scope.ts';
import { Scope } from '../scopes/scope.ts';
import { scopedServices } from '../scopes/scoped-engine.ts';
import { openDockerApi } from './docker-api.ts';
import { admitToScope } from './scoped-routes.ts';

export interface ScopedSocketsOptions {
  readonly engine: Engine;
  readonly images: ImageStore;
  /** Durable: one file a scope. */
  readonly folder: string;
  /** For the sockets; short, for their paths. Whoever is to use one must be able to pass through it. */
  readonly socketFolder: string;
  readonly version: string;
  readonly log: Logger;
}

/** A scope as its opener sees it. */
export interface OpenScope {
  readonly name: string;
  /** For DOCKER_HOST. */
  readonly url: string;
  readonly policy: ScopePolicy;
  /** RFC 3339. */
  readonly expiresAt: string;
  readonly containers: number;
}

/**
 * Docker API sockets that are limited by policy, for CI jobs and other tenants. They survive a restart on the same folders; disposing
 * only stops listening. One whose time is over, or that is closed, is removed with everything that was made through it.
 */
export interface ScopedSockets extends AsyncDisposable {
  /** `invalid` names what is wrong with the request; `already-exists` when there is one of that name. */
  open(request: ScopeRequest, signal: AbortSignal): Promise<OpenScope>;
  list(): OpenScope[];
  /** Resolves when nothing of it is left. `not-found` when there is none. */
  close(name: string, signal: AbortSignal): Promise<void>;
}

/** Takes up the scopes of the folder: those that go on listen again, the others are removed. */
export async function openScopedSockets(options: ScopedSocketsOptions): Promise<ScopedSockets> {
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  await mkdir(options.socketFolder, { recursive: true, mode: 0o711 });
  const sockets = new LocalScopedSockets(options);
  await sockets.load();
  return sockets;
}

interface Listening { readonly scope: Scope; readonly url: string; readonly timer: NodeJS.Timeout; readonly listener: AsyncDisposable }

class LocalScopedSockets implements ScopedSockets {
  readonly #options: ScopedSocketsOptions;
  readonly #open = new Map<string, Listening>();
  /** Opening and closing take turns, so that a name is one scope's at any time. */
  readonly #turns = new Mutex();

  constructor(options: ScopedSocketsOptions) {
    this.#options = options;
  }

  async load(): Promise<void> {
    const { folder, log } = this.#options;
    for (const file of (await readdir(folder)).filter((name) => name.endsWith('.json'))) {
      const text = await readTextIfExists(join(folder, file));
      const scope = new Scope(folder, parseWith(scopeRecordSchema, JSON.parse(text ?? ''), 'scope', join(folder, file)));
      try {
        if (scope.record.isClosing || Date.now() >= scope.record.expiresAtMs) await this.#remove(scope);
        else await this.#listen(scope);
      } catch (error) {
        log.error('a scoped endpoint could not be taken up', { scope: scope.record.name, err: error });
      }
    }
  }

  async open(request: ScopeRequest, signal: AbortSignal): Promise<OpenScope> {
    const { name, groupId, policy } = parseWith(scopeRequestSchema, request, 'scope');
    return this.#turns.run(async () => {
      if (this.#open.has(name)) throw new GantryError('already-exists', `there is a scoped endpoint ${name} already`);
      const createdAtMs = Date.now();
      const expiresAtMs = createdAtMs + policy.lifetimeSeconds * 1000;
      const record: ScopeRecord = { id: randomHex(8), name, ...(groupId === undefined ? {} : { groupId }), policy, createdAtMs, expiresAtMs, isClosing: false, pulled: [], imageIds: [] };
      const scope = new Scope(this.#options.folder, record);
      await scope.change(() => ({}));
      try {
        await this.#options.engine.networks.create({ name: scope.networkName, isInternal: false, labels: scope.labels, options: {}, scopeId: scope.id }, signal);
        return view(await this.#listen(scope), this.#options.engine);
      } catch (error) {
        await this.#remove(scope);
        throw error;
      }
    });
  }

  list(): OpenScope[] {
    return [...this.#open.values()].map((listening) => view(listening, this.#options.engine));
  }

  async close(name: string, _signal: AbortSignal): Promise<void> {
    await this.#turns.run(async () => {
      const listening = this.#open.get(name);
      if (listening === undefined) throw new GantryError('not-found', `there is no scoped endpoint ${name}`);
      await this.#end(listening);
    });
  }

  async #listen(scope: Scope): Promise<Listening> {
    const { engine, images, folder, socketFolder, version, log } = this.#options;
    const { name, groupId, expiresAtMs } = scope.record;
    const api = await openDockerApi({ ...scopedServices(engine, images, scope), temporaryFolder: join(folder, scope.id), version, log, admit: admitToScope });
    const listener = await api.listen({ socketPath: join(socketFolder, `${name}.sock`), ...(groupId === undefined ? {} : { groupId }) });
    const timer = setTimeout(() => void this.#expire(name, scope), Math.max(0, expiresAtMs - Date.now()));
    timer.unref();
    const listening = { scope, url: listener.url, timer, listener };
    this.#open.set(name, listening);
    return listening;
  }

  async #expire(name: string, scope: Scope): Promise<void> {
    try {
      await this.#turns.run(async () => {
        const listening = this.#open.get(name);
        if (listening?.scope === scope) await this.#end(listening);
      });
    } catch (error) {
      // Its record says that it is to be removed: closing it again, or the next start, goes on.
      this.#options.log.error('a scoped endpoint could not be removed', { scope: name, err: error });
    }
  }

  async #end({ scope, timer, listener }: Listening): Promise<void> {
    clearTimeout(timer);
    await scope.change(() => ({ isClosing: true }));
    await listener[Symbol.asyncDispose]();
    await this.#remove(scope);
    this.#open.delete(scope.record.name);
  }

  async #remove(scope: Scope): Promise<void> {
    const { engine, images, folder } = this.#options;
    if (!scope.record.isClosing) await scope.change(() => ({ isClosing: true }));
    await removeScope(engine, images, scope);
    await rm(join(folder, scope.id), { recursive: true, force: true });
    await rm(join(folder, `${scope.id}.json`), { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { timer, listener } of this.#open.values()) {
      clearTimeout(timer);
      await listener[Symbol.asyncDispose]();
    }
    this.#open.clear();
  }
}

function view({ scope, url }: Listening, engine: Engine): OpenScope {
  const { name, policy, expiresAtMs } = scope.record;
  return { name, url, policy, expiresAt: new Date(expiresAtMs).toISOString(), containers: engine.containers.list().filter((record) => scope.ownsContainer(record)).length };
}
