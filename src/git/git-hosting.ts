import { keyOf, resources } from '../api/mod.ts';
import { Controller, type Informers, type KubeClient } from '../client/mod.ts';
import { GantryError, type Logger, type Service, systemClock } from '../kernel/mod.ts';
import type { GitSettings } from './git-command.ts';
import { GitHttpHandler } from './http/handler.ts';
import type { GitAuthenticator, PushGate } from './ports.ts';
import { writeHooksFolder } from './push/hooks-folder.ts';
import { PushServer } from './push/push-server.ts';
import { PushReceiver } from './push/receiver.ts';
import { adoptRepositories, type ObservedRepository, policyOf, type RepositoryAction, type RepositoryReport, RepositoryReconciler } from './repository-controller.ts';
import { RepositoryRoot } from './repository-root.ts';

export interface GitHostingOptions {
  /** Folder of the bare repositories. */
  readonly rootFolder: string;
  /** Folder for the hook program's wrapper; ours alone, on a file system that may execute. */
  readonly hooksFolder: string;
  /** Path of the unix socket of the hooks; shorter than 108 bytes. */
  readonly socketPath: string;
  readonly client: KubeClient;
  readonly informers: Informers;
  readonly gate: PushGate;
  readonly authenticator: GitAuthenticator;
  readonly log: Logger;
}

const adoptEveryMs = 30_000;

/** All of git hosting: the repositories on disk, their resources, the HTTP front, and the hook's counterpart. */
export class GitHosting implements Service, AsyncDisposable {
  readonly name = 'git';
  readonly http: GitHttpHandler;
  readonly root: RepositoryRoot;
  readonly #options: GitHostingOptions;
  readonly #pushes: PushServer;
  readonly #controller: Controller<ObservedRepository, RepositoryAction, RepositoryReport>;

  constructor(options: GitHostingOptions, parts: { root: RepositoryRoot; http: GitHttpHandler; pushes: PushServer; controller: Controller<ObservedRepository, RepositoryAction, RepositoryReport> }) {
    this.#options = options;
    this.root = parts.root;
    this.http = parts.http;
    this.#pushes = parts.pushes;
    this.#controller = parts.controller;
  }

  static async open(options: GitHostingOptions): Promise<GitHosting> {
    const { client, informers, gate, authenticator, log } = options;
    const settings: GitSettings = { hooksFolder: options.hooksFolder };
    await writeHooksFolder(options.hooksFolder);
    const root = await RepositoryRoot.open(options.rootFolder, settings);
    const repositories = informers.of(resources.repositories);
    const reconciler = new RepositoryReconciler({ client, repositories, root, log });
    const controller = new Controller(reconciler, { workers: 2 }, log).watch(repositories);
    const receiver = new PushReceiver({
      root,
      gate,
      log,
      onMoved: (name) => controller.enqueue(keyOf(name)),
      policyOf: (name) => {
        const resource = repositories.get(keyOf(name));
        if (resource === undefined) throw new GantryError('not-found', `there is no Repository ${keyOf(name)}`);
        return policyOf(resource);
      },
    });
    const pushes = await PushServer.open(receiver, options.socketPath, log);
    const http = new GitHttpHandler({ root, settings, authenticator, pushes, log });
    return new GitHosting(options, { root, http, pushes, controller });
  }

  /** Runs the Repository controller and looks for folders to adopt. Expects the informers to be synced. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await Promise.all([this.#controller.run(signal), this.#adopt(signal)]);
    } finally {
      // Pushers learn why their push ended before anybody closes the connections.
      await this.#pushes[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pushes[Symbol.asyncDispose]();
  }

  async #adopt(signal: AbortSignal): Promise<void> {
    const { client, informers, log } = this.#options;
    while (!signal.aborted) {
      try {
        await adoptRepositories({ client, repositories: informers.of(resources.repositories), root: this.root, log }, signal);
      } catch (error) {
        if (!signal.aborted) log.warn('repositories could not be adopted', { err: error });
      }
      await systemClock.sleep(adoptEveryMs, signal).catch(() => undefined);
    }
  }
}

