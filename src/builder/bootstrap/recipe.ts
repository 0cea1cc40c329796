import type { ImageConfig } from '../../api/mod.ts';
import type { BuildEnvironment } from '../config.ts';

export interface BootstrapOptions {
  /** Finished layers are kept here and shared by the instances of the machine, for example /var/cache/gantry/bootstrap. */
  readonly cacheFolder: string;
  /** Certificates and proxies for the programs that fetch packages. */
  readonly environment: BuildEnvironment;
  /** The Node binary that node images get. Default: the one that runs this program. */
  readonly nodeBinary?: string;
  /** Files that list apt's sources. Default: the machine's own. */
  readonly aptSourceFiles?: readonly string[];
}

export interface RecipeContext {
  readonly options: BootstrapOptions;
  /** Empty, private, removed afterwards. */
  readonly workFolder: string;
  readonly environment: Readonly<Record<string, string>>;
  /** The layer of another recipe as a plain tar file, made when it is not there. */
  readonly layerOf: (recipe: LayerRecipe) => Promise<string>;
  readonly progress: (line: string) => void;
}

/** Makes one layer. */
export interface LayerRecipe {
  /** Names what the layer is made of: equal keys are equal layers. File name characters only. */
  key(options: BootstrapOptions): Promise<string>;
  /** What history says of it. */
  readonly createdBy: string;
  /** Writes the layer as a plain tar to `tarPath`. */
  make(tarPath: string, context: RecipeContext, signal: AbortSignal): Promise<void>;
}

/** An image that can be made without a registry: layers from the lowest up, and how containers of it start. */
export interface ImageRecipe {
  readonly layers: readonly LayerRecipe[];
  config(options: BootstrapOptions): Promise<NonNullable<ImageConfig['config']>>;
}

/** Times in bootstrapped images: a fixed one makes them reproducible. The release of Debian 12, in seconds since the epoch. */
export const bootstrapEpoch = 1_686_355_200;

/** The Debian name of this machine's architecture, which is also that of images. */
export function debianArchitecture(): 'amd64' | 'arm64' {
  return process.arch === 'arm64' ? 'arm64' : 'amd64';
}
