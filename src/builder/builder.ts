import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, familiarImageReference, parseImageReference } from '../api/mod.ts';
import { type ErrorPlace, GantryError, type Logger, randomHex } from '../kernel/mod.ts';
import { type CacheAccess, sharedCache } from './cache/cache-access.ts';
import { cacheLabel, toCacheLabel } from './cache/cache-label.ts';
import { CacheTransfer } from './cache/cache-transfer.ts';
import { ContextDigests } from './cache/context-digests.ts';
import { DigestCache } from './cache/digest-cache.ts';
import { StepJournal } from './cache/miss-reason.ts';
import { removeOldFiles } from './cache/old-files.ts';
import { RemoteNotes } from './cache/remote-notes.ts';
import { Semaphore } from './cache/semaphore.ts';
import { SharedWork } from './cache/shared-work.ts';
import { StepCache, type StepRecord } from './cache/step-cache.ts';
import type { BuildEnvironment, BuilderConfig } from './config.ts';
import { parseDockerfile } from './dockerfile/parse.ts';
import { type BuildContext, type DockerfileText, openBuildContext } from './executor/build-context.ts';
import { BuildExecutor } from './executor/build-executor.ts';
import { CacheMounts } from './executor/cache-mounts.ts';
import { imageConfig } from './executor/image-config.ts';
import { openNamedFolders, type RequestedContext } from './executor/named-folders.ts';
import type { BuildSecrets } from './executor/secrets.ts';
import { SourceTrees } from './executor/source-trees.ts';
import type { StepServices } from './executor/step-executor.ts';
import { prepareRunExtras } from './executor/trust.ts';
import type { Entitlement } from './plan/entitlements.ts';
import type { BuildPlan } from './plan/build-plan.ts';
import { formatPlatform, predefinedArgs, type TargetPlatform } from './plan/global-args.ts';
import { planBuild } from './plan/planner.ts';
import type { BuildRuntime } from './ports.ts';
import type { BuildListener } from './progress/build-event.ts';

export interface BuilderOptions {
  readonly runtime: BuildRuntime;
  /** Kept from run to run: cache records, cache mounts. */
  readonly folder: string;
  /** In memory (tmpfs): secrets of running steps. */
  readonly runFolder: string;
  readonly environment: BuildEnvironment;
  readonly config: BuilderConfig;
  readonly log: Logger;
  /** Default: this machine's. */
  readonly platform?: TargetPlatform;
  readonly now?: () => Date;
}

export interface BuildRequest {
  /** The unpacked context. Nothing may change it during the build. */
  readonly contextFolder: string;
  /** Equal versions have equal files, as long as this program runs. */
  readonly contextVersion?: string;
  /** Below the context folder. */
  readonly dockerfilePath: string;
  /** The Dockerfile itself, when it does not stand in the context. `dockerfilePath` then only names it. */
  readonly dockerfile?: DockerfileText;
  /** `--build-context`: folders, images or repositories that take the place of stages and images of their names. */
  readonly contexts?: ReadonlyMap<string, RequestedContext>;
  readonly tags: readonly string[];
  readonly target?: string;
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Every step runs; results are still kept for later builds. */
  readonly noCache: boolean;
  /** As `noCache`, for the stages of these names. */
  readonly noCacheStages?: ReadonlySet<string>;
  /** Base images are asked for at their registry even when they are local. */
  readonly pull: boolean;
  readonly network: 'default' | 'none' | 'host';
  /** What RUN may ask for beyond the usual. Default: nothing. */
  readonly allowed?: ReadonlySet<Entitlement>;
  /** `os/architecture[/variant]`; only the machine's own can be built. */
  readonly platform?: string;
  /** Images of registries that carry results of steps. */
  readonly cacheFrom?: readonly string[];
  /** Where results are pushed: of the target's stage (`min`), or of all stages. */
  readonly cacheTo?: readonly { readonly reference: string; readonly mode: 'min' | 'max' }[];
  /** The image itself carries the results of its stage's steps. */
  readonly hasInlineCache?: boolean;
  readonly secrets?: BuildSecrets;
  readonly sshSockets?: ReadonlyMap<string, string>;
  /** Default: `sharedCache`. */
  readonly cacheAccess?: CacheAccess;
}

/** How long explanations of cache misses and digests of layer contents are kept. */
const notesKeptMs = 30 * 24 * 3600 * 1000;

const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

interface BuilderParts {
  readonly cache: StepCache;
  readonly journal: StepJournal;
  readonly digests: DigestCache;
  readonly remoteNotes: RemoteNotes;
}

/** Builds images from Dockerfiles. One for an instance; builds run at the same time and share their work and their cache. */
export class Builder implements AsyncDisposable {
  readonly #options: BuilderOptions;
  readonly #cache: StepCache;
  readonly #journal: StepJournal;
  readonly #digests: DigestCache;
  readonly #remoteNotes: RemoteNotes;
  readonly #cacheMounts: CacheMounts;
  readonly #flights = new SharedWork<StepRecord>();
  readonly #contextDigests = new ContextDigests();
  readonly #transfer: CacheTransfer;
  readonly #slots: Semaphore;
  readonly #layerUser: Disposable;
  #evicting: Promise<void> | undefined;
  /** Of builds that were stopped while others waited for their work. */
  readonly #closing = new Set<Promise<void>>();

  private constructor(options: BuilderOptions, { cache, journal, digests, remoteNotes }: BuilderParts) {
    this.#options = options;
    this.#cache = cache;
    this.#journal = journal;
    this.#digests = digests;
    this.#remoteNotes = remoteNotes;
    this.#cacheMounts = new CacheMounts(join(options.folder, 'mounts'));
    this.#transfer = new CacheTransfer(options.runtime, cache);
    this.#slots = new Semaphore(options.config.parallelSteps);
    this.#layerUser = options.runtime.addLayerUser(() => cache.layers());
  }

  /** Opens the cache and removes what an earlier run left in the work folder, and notes that nobody asked for in a long time. */
  static async open(options: BuilderOptions): Promise<Builder> {
    for (const name of ['journal', 'digests', 'remote']) await removeOldFiles(join(options.folder, name), Date.now() - notesKeptMs);
    await rm(join(options.folder, 'work'), { recursive: true, force: true });
    await rm(join(options.runFolder, 'secrets'), { recursive: true, force: true });
    await mkdir(join(options.folder, 'work'), { recursive: true, mode: 0o700 });
    await new CacheMounts(join(options.folder, 'mounts')).sweep();
    const cache = await StepCache.open(join(options.folder, 'steps'));
    const journal = await StepJournal.open(join(options.folder, 'journal'));
    const digests = await DigestCache.open(join(options.folder, 'digests'));
    return new Builder(options, { cache, journal, digests, remoteNotes: await RemoteNotes.open(join(options.folder, 'remote')) });
  }

  /** Resolves to the image's id. `openListener` gets the plan and returns what is told of the build. Errors of the Dockerfile and of its commands are `invalid` with file, line and column. */
  async build(request: BuildRequest, openListener: (plan: BuildPlan) => BuildListener, signal: AbortSignal): Promise<Digest> {
    const { runtime } = this.#options;
    const tags = request.tags.map((tag) => familiarImageReference(parseImageReference(tag)));
    this.#checkPlatform(request.platform);
    const context = openBuildContext(request.contextFolder, request.dockerfilePath, request.dockerfile, request.contextVersion);
    const plan = await this.#plan(context, request, { isCheck: false }, signal);
    const listen = openListener(plan);
    for (const place of plan.warnings) listen({ kind: 'warning', place });
    const parts = new AsyncDisposableStack();
    const owned = new Set<Promise<unknown>>();
    try {
      const workFolder = await this.#openWorkFolder(parts);
      let executor: BuildExecutor | undefined;
      const named = await openNamedFolders(request.contexts ?? new Map(), this.#options.environment, workFolder, signal);
      const trees = parts.use(new SourceTrees(runtime, context, named, async (stage) => (await executor?.layersOf(stage)) ?? []));
      const services = await this.#services(request, plan, { trees, workFolder, owned });
      executor = new BuildExecutor(plan, services, listen, `${repositoryOf(tags[0])} ${request.dockerfilePath}`);
      parts.defer(() => executor?.release());
      const note = (text: string): void => listen({ kind: 'note', text });
      for (const reference of request.cacheFrom ?? []) await this.#transfer.import(reference, services.access, note, signal);
      const result = await executor.run(signal);
      const stage = plan.stages.find(({ index }) => index === plan.target);
      if (stage === undefined) throw new GantryError('internal', 'the target stage is not part of the plan');
      const labels: Record<string, string> = request.hasInlineCache === true ? { [cacheLabel]: toCacheLabel(executor.recordsOf(plan.target)) } : {};
      const imageId = await runtime.createImage(imageConfig({ ...plan, labels: { ...plan.labels, ...labels } }, stage, result, this.#now), tags, signal);
      for (const { reference, mode } of request.cacheTo ?? []) await this.#transfer.export(reference, executor.recordsOf(mode === 'max' ? undefined : plan.target), this.#platform, note, signal);
      listen({ kind: 'finished', imageId, tags });
      return imageId;
    } finally {
      await this.#close(parts, owned, hasCacheMounts(plan));
    }
  }

  /** Other builds may wait for work that this one began; what it uses is closed after that, and they need not wait for one another. */
  async #close(parts: AsyncDisposableStack, owned: ReadonlySet<Promise<unknown>>, usesMounts: boolean): Promise<void> {
    const closing = (async () => {
      await Promise.allSettled(owned);
      await parts.disposeAsync();
      await this.#cache.evict(this.#options.config.cacheBytes);
      if (usesMounts) this.#evictMounts();
    })();
    if (owned.size === 0) return closing;
    this.#closing.add(closing);
    const forget = (): void => void this.#closing.delete(closing);
    closing.then(forget, (error: unknown) => {
      forget();
      this.#options.log.warn('a build could not be cleaned up', { err: error });
    });
  }

  /** Measuring takes its time: nobody waits for it, and one at a time is enough. */
  #evictMounts(): void {
    if (this.#evicting !== undefined) return;
    this.#evicting = this.#cacheMounts.evict(this.#options.config.cacheMountBytes).then(
      () => void (this.#evicting = undefined),
      (error: unknown) => {
        this.#evicting = undefined;
        this.#options.log.warn('cache mounts could not be brought within their budget', { err: error });
      },
    );
  }

  async #openWorkFolder(parts: AsyncDisposableStack): Promise<string> {
    const folder = join(this.#options.folder, 'work', randomHex(8));
    parts.defer(() => rm(folder, { recursive: true, force: true }));
    await mkdir(folder, { mode: 0o700 });
    return folder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#closing);
    await this.#evicting;
    this.#layerUser[Symbol.dispose]();
  }

  get #platform(): TargetPlatform {
    return this.#options.platform ?? { os: 'linux', architecture: architectures[process.arch] ?? process.arch };
  }

  #checkPlatform(asked: string | undefined): void {
    const { os, architecture } = this.#platform;
    if (asked !== undefined && ![`${os}/${architecture}`, architecture, formatPlatform(this.#platform)].includes(asked)) throw new GantryError('unsupported', `the platform ${asked} is not supported: this machine builds for ${formatPlatform(this.#platform)} only`);
  }

  /** Runs `use` with the folder of the main context, which is checked out first when it is a repository. */
  async withMainContext<T>(context: RequestedContext, signal: AbortSignal, use: (folder: { folder: string; version?: string }) => Promise<T>): Promise<T> {
    await using parts = new AsyncDisposableStack();
    const workFolder = await this.#openWorkFolder(parts);
    const folder = (await openNamedFolders(new Map([['main', context]]), this.#options.environment, workFolder, signal)).get('main');
    if (folder === undefined) throw new GantryError('invalid', 'an image is no build context');
    return await use({ folder: folder.folder, ...(folder.version === undefined ? {} : { version: folder.version }) });
  }

  get #now(): () => Date {
    return this.#options.now ?? (() => new Date());
  }

  /** The rules of the published list of build checks that the Dockerfile breaks. Nothing runs. */
  async check(request: BuildRequest, signal: AbortSignal): Promise<readonly ErrorPlace[]> {
    const context = openBuildContext(request.contextFolder, request.dockerfilePath, request.dockerfile, request.contextVersion);
    return (await this.#plan(context, request, { isCheck: true }, signal)).warnings;
  }

  /** The folders of cache mounts, for listing, export and import. */
  get cacheMounts(): CacheMounts {
    return this.#cacheMounts;
  }

  /** The results of steps that are kept, each with its layer, if it left one. */
  get cacheRecords(): ReturnType<StepCache['list']> {
    return this.#cache.list();
  }

  /** What the cache of steps holds now. */
  get cacheUsage(): { readonly records: number; readonly layerBytes: number } {
    return { records: this.#cache.count, layerBytes: this.#cache.sizeBytes };
  }

  /** Forgets results of steps, and removes cache mounts that no build uses. Layers nobody else needs can be pruned from the image store then. */
  async prune(): Promise<{ records: number; mountBytes: number }> {
    return { records: await this.#cache.clear(), mountBytes: await this.#cacheMounts.evict(0) };
  }

  async #plan(context: BuildContext, request: BuildRequest, { isCheck }: { isCheck: boolean }, signal: AbortSignal): Promise<BuildPlan> {
    const dockerfile = parseDockerfile(context.dockerfileText, context.dockerfileName);
    return planBuild(dockerfile, {
      ...(request.target === undefined ? {} : { target: request.target }),
      buildArgs: request.buildArgs,
      labels: request.labels,
      network: request.network,
      ignore: context.ignore,
      ...(request.allowed === undefined ? {} : { allowed: request.allowed }),
      isCheck,
      contexts: new Map([...(request.contexts ?? [])].map(([name, given]) => [name, given.kind === 'image' ? given : { kind: 'folder' }])),
      platform: this.#platform,
      resolveImage: (reference) => this.#options.runtime.resolveImage(reference, request.pull ? 'always' : 'missing', signal),
    });
  }

  async #services(request: BuildRequest, plan: BuildPlan, { trees, workFolder, owned }: { trees: SourceTrees; workFolder: string; owned: Set<Promise<unknown>> }): Promise<StepServices> {
    const { runtime, environment, runFolder } = this.#options;
    const access = request.cacheAccess ?? sharedCache;
    const given = predefinedArgs.flatMap((name) => (Object.hasOwn(request.buildArgs, name) ? [[name, request.buildArgs[name] ?? ''] as const] : []));
    const run = {
      runtime,
      trees,
      cacheMounts: this.#cacheMounts,
      contextDigests: this.#contextDigests,
      secrets: request.secrets ?? new Map(),
      sshSockets: request.sshSockets ?? new Map(),
      secretFolder: join(runFolder, 'secrets'),
      workFolder,
      access,
      extras: once(() => prepareRunExtras(environment, join(workFolder, 'certificates'))),
      predefined: Object.fromEntries(given),
    };
    const { sourceDateEpoch } = plan;
    return {
      runtime,
      cache: this.#cache,
      journal: this.#journal,
      flights: this.#flights,
      slots: this.#slots,
      now: this.#now,
      run,
      copy: { trees, digests: this.#digests, contextDigests: this.#contextDigests, remoteNotes: this.#remoteNotes, environment, workFolder, timeSeconds: sourceDateEpoch },
      usesCache: !request.noCache,
      noCacheStages: request.noCacheStages ?? new Set(),
      sourceDateEpoch,
      access,
      owned,
    };
  }
}

/** Makes a value when it is first asked for. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

function hasCacheMounts({ stages }: BuildPlan): boolean {
  return stages.some(({ steps }) => steps.some(({ action }) => action?.kind === 'run' && action.mounts.some(({ type }) => type === 'cache')));
}

/** The name without its tag: builds of one application differ in tags only, and share what is told of their cache misses. */
function repositoryOf(tag: string | undefined): string {
  return tag === undefined ? '' : parseImageReference(tag).repository;
}
