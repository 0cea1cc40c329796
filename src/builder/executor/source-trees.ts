import type { Digest } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { OwnerRule } from '../files/content-digest.ts';
import { IgnoreRules } from '../../context/mod.ts';
import type { FileSource } from '../plan/build-plan.ts';
import type { BuildRuntime, BuildTree } from '../ports.ts';
import type { BuildContext, NamedFolder } from './build-context.ts';

/** A tree that files are taken from. */
export interface SourceTree {
  readonly rootPath: string;
  readonly ignore: IgnoreRules;
  readonly owners: OwnerRule;
  /** What the tree's content is known by; undefined for contexts. */
  readonly layers: readonly Digest[] | undefined;
  /** What a context's content is known by, while this program runs; undefined: it has to be read. */
  readonly version: string | undefined;
}

/** Opens the trees of stages and images at most once for a build; disposing closes them. Nothing may write to them. */
export class SourceTrees implements AsyncDisposable {
  readonly #runtime: BuildRuntime;
  readonly #context: BuildContext;
  /** Folders of named contexts. */
  readonly #named: ReadonlyMap<string, NamedFolder>;
  readonly #layersOfStage: (stage: number) => Promise<readonly Digest[]>;
  readonly #trees = new Map<string, Promise<BuildTree>>();

  constructor(runtime: BuildRuntime, context: BuildContext, named: ReadonlyMap<string, NamedFolder>, layersOfStage: (stage: number) => Promise<readonly Digest[]>) {
    this.#runtime = runtime;
    this.#context = context;
    this.#named = named;
    this.#layersOfStage = layersOfStage;
  }

  /** The layers of a stage (once it is built) or an image; undefined for the context. */
  async layersOf(source: FileSource): Promise<readonly Digest[] | undefined> {
    if (source.kind === 'context') return undefined;
    return source.kind === 'image' ? source.layers : this.#layersOfStage(source.stage);
  }

  async open(source: FileSource, signal: AbortSignal): Promise<SourceTree> {
    const layers = await this.layersOf(source);
    if (layers === undefined) return { ...this.#folder(source), owners: 'root', layers };
    const key = layers.join();
    const tree = this.#trees.get(key) ?? this.#runtime.openTree(layers, signal);
    this.#trees.set(key, tree);
    return { rootPath: (await tree).rootPath, ignore: IgnoreRules.none, owners: 'kept', layers, version: undefined };
  }

  #folder(source: FileSource): Pick<SourceTree, 'rootPath' | 'ignore' | 'version'> {
    if (source.kind !== 'context' || source.name === undefined) return { rootPath: this.#context.folder, ignore: this.#context.ignore, version: this.#context.version };
    const named = this.#named.get(source.name);
    if (named === undefined) throw new GantryError('internal', `there is no context ${source.name}`);
    return { rootPath: named.folder, ignore: named.ignore, version: named.version };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const trees = await Promise.allSettled(this.#trees.values());
    await Promise.all(trees.map(async (tree) => (tree.status === 'fulfilled' ? tree.value[Symbol.asyncDispose]() : undefined)));
  }
}
