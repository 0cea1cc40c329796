import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ImageBuild, type ImageBuildStatus, refOf, resources, type Stored } from '../../api/mod.ts';
import { Controller, type Informer, type Informers, type KubeClient, type Plan, type Reconciler } from '../../client/mod.ts';
import { aborted, formatError, GantryError, isError, type Logger, readTextIfExists, type Service, toGantryError, writeFileAtomic } from '../../kernel/mod.ts';
import { BuildLogs } from './build-logs.ts';
import { imageBuildLogRoute, type LogRoute } from './log-route.ts';
import { type BuildServices, performImageBuild } from './perform-build.ts';
import { type BuildAction, type ObservedBuild, planImageBuild } from './plan-build.ts';

export interface ImageBuildsOptions {
  readonly nodeName: string;
  /** Kept over restarts: logs and attempts. */
  readonly folder: string;
}

export interface ImageBuildsParts extends Omit<BuildServices, 'folder'> {
  readonly client: KubeClient;
  /** The process's caches; the caller runs them. */
  readonly informers: Informers;
  readonly log: Logger;
}

interface RunningBuild {
  readonly uid: string;
  readonly controller: AbortController;
  readonly done: Promise<void>;
}

/** Does the ImageBuilds of this node: takes those that no node has, builds, pushes, reports. Its end stops builds; the next start begins them again. */
export class ImageBuilds implements Service, Reconciler<ObservedBuild, BuildAction, ImageBuildStatus> {
  readonly name = 'image builds';
  /** For the node's listener. */
  readonly logRoute: LogRoute;
  readonly #options: ImageBuildsOptions;
  readonly #parts: ImageBuildsParts;
  readonly #informer: Informer<ImageBuild>;
  readonly #controller: Controller<ObservedBuild, BuildAction, ImageBuildStatus>;
  readonly #logs: BuildLogs;
  readonly #running = new Map<string, RunningBuild>();
  /** By uid, until the status tells it. */
  readonly #outcomes = new Map<string, ImageBuildStatus>();

  private constructor(options: ImageBuildsOptions, parts: ImageBuildsParts, logs: BuildLogs) {
    this.#options = options;
    this.#parts = parts;
    this.#logs = logs;
    this.#informer = parts.informers.of(resources.imageBuilds);
    this.#controller = new Controller<ObservedBuild, BuildAction, ImageBuildStatus>(this, {}, parts.log).watch(this.#informer);
    this.logRoute = imageBuildLogRoute(this.#informer, logs);
  }

  /** Removes checkouts that a crash left. Ask for it before the informers run. */
  static async open(options: ImageBuildsOptions, parts: ImageBuildsParts): Promise<ImageBuilds> {
    await rm(join(options.folder, 'checkouts'), { recursive: true, force: true });
    for (const name of ['checkouts', 'attempts']) await mkdir(join(options.folder, name), { recursive: true, mode: 0o700 });
    return new ImageBuilds(options, parts, await BuildLogs.open(join(options.folder, 'logs')));
  }

  async run(signal: AbortSignal): Promise<void> {
    const cleaned = this.#removeLeftovers(signal);
    await Promise.all([this.#controller.run(signal), cleaned, aborted(signal)]);
    for (const { controller } of this.#running.values()) controller.abort(new GantryError('cancelled', 'the node agent stops'));
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  async observe(key: string): Promise<ObservedBuild> {
    const build = this.#informer.get(key);
    const uid = build?.metadata.uid;
    return {
      key,
      build,
      nodeName: this.#options.nodeName,
      runningUid: this.#running.get(key)?.uid,
      outcome: uid === undefined ? undefined : this.#outcomes.get(uid),
      attempts: uid === undefined ? 0 : await this.#attempts(uid),
      now: new Date().toISOString(),
    };
  }

  plan(observed: ObservedBuild): Plan<BuildAction, ImageBuildStatus> {
    return planImageBuild(observed);
  }

  async act(action: BuildAction, { key, build }: ObservedBuild, signal: AbortSignal): Promise<void> {
    switch (action.kind) {
      case 'claim':
        return this.#claim(key, build, signal);
      case 'start':
        return build === undefined ? undefined : this.#start(key, build);
      case 'stop':
        this.#running.get(key)?.controller.abort(new GantryError('cancelled', 'the image build was deleted'));
        await this.#running.get(key)?.done;
        return;
      case 'forget':
        return this.#removeLeftovers(signal);
    }
  }

  async report(status: ImageBuildStatus, { key, build }: ObservedBuild, signal: AbortSignal): Promise<void> {
    if (build === undefined) return;
    await this.#parts.client.patch(resources.imageBuilds, refOf(key), { type: 'merge', subresource: 'status', body: { metadata: { uid: build.metadata.uid }, status } }, signal);
  }

  /** With the revision that was seen, so that of two nodes only one gets the build. */
  async #claim(key: string, build: Stored<ImageBuild> | undefined, signal: AbortSignal): Promise<void> {
    const body = { metadata: { resourceVersion: build?.metadata.resourceVersion }, spec: { nodeName: this.#options.nodeName } };
    try {
      await this.#parts.client.patch(resources.imageBuilds, refOf(key), { type: 'merge', body }, signal);
    } catch (error) {
      // Another node was quicker, or it is gone; the cache will tell.
      if (!isError(error, 'conflict', 'not-found')) throw error;
    }
  }

  async #start(key: string, build: Stored<ImageBuild>): Promise<void> {
    const { uid } = build.metadata;
    await writeFileAtomic(this.#attemptsPath(uid), String((await this.#attempts(uid)) + 1));
    const controller = new AbortController();
    const done = this.#build(build, controller.signal).then((outcome) => {
      if (outcome !== undefined) this.#outcomes.set(uid, outcome);
      this.#running.delete(key);
      this.#controller.enqueue(key);
    });
    this.#running.set(key, { uid, controller, done });
  }

  /** How it ended; undefined when it was stopped from outside. */
  async #build(build: Stored<ImageBuild>, signal: AbortSignal): Promise<ImageBuildStatus | undefined> {
    const { uid } = build.metadata;
    const log = await this.#logs.start(uid);
    try {
      const services = { ...this.#parts, folder: join(this.#options.folder, 'checkouts') };
      const result = await performImageBuild(build, services, (text) => log.write(text), signal);
      return { phase: 'Succeeded', finishedAt: new Date().toISOString(), ...result };
    } catch (error) {
      if (signal.aborted) return undefined;
      const { code, message } = toGantryError(error);
      log.write(`${message}\n`);
      if (code === 'internal') this.#parts.log.error('image build failed', { namespace: build.metadata.namespace, name: build.metadata.name, err: error });
      return { phase: 'Failed', finishedAt: new Date().toISOString(), message: formatError(error) };
    } finally {
      await this.#logs.finish(uid);
    }
  }

  /** Logs and attempts of builds that are gone. */
  async #removeLeftovers(signal: AbortSignal): Promise<void> {
    try {
      await this.#informer.ready(signal);
    } catch {
      return;
    }
    const known = new Set(this.#informer.list().map(({ metadata }) => metadata.uid));
    const busy = new Set([...this.#running.values()].map(({ uid }) => uid));
    for (const uid of await this.#logs.list()) {
      if (known.has(uid) || busy.has(uid)) continue;
      this.#outcomes.delete(uid);
      await this.#logs.remove(uid);
      await rm(this.#attemptsPath(uid), { force: true });
    }
  }

  async #attempts(uid: string): Promise<number> {
    return Number((await readTextIfExists(this.#attemptsPath(uid))) ?? '0');
  }

  #attemptsPath(uid: string): string {
    return join(this.#options.folder, 'attempts', uid);
  }
}
