import type { Digest, Healthcheck, HistoryEntry, ImageConfig } from '../../api/mod.ts';
import type { ErrorPlace } from '../../kernel/mod.ts';
import type { Position } from '../dockerfile/located-text.ts';
import type { RunMount } from '../dockerfile/run-mount.ts';
import type { SourceFile } from '../dockerfile/source-file.ts';
import type { GitSource } from './git-source.ts';
import type { StageState } from './stage-state.ts';

/** Where files come from: the build context, a stage, or an image. */
export type FileSource =
  /** Without a name the build context, else a named one. */
  | { readonly kind: 'context'; readonly name?: string }
  | { readonly kind: 'stage'; readonly stage: number }
  | { readonly kind: 'image'; readonly reference: string; readonly layers: readonly Digest[] };

/** `RUN`. */
export interface RunAction {
  readonly kind: 'run';
  readonly args: readonly string[];
  /** In the order they are set; part of the cache key. */
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly user: string;
  readonly network: 'default' | 'none' | 'host';
  readonly mounts: readonly PlannedMount[];
  readonly isInsecure: boolean;
  /** A script with a `#!` line, shown to the process at this path. */
  readonly script?: { readonly path: string; readonly content: string };
}

export interface PlannedMount extends RunMount {
  readonly target: string;
  readonly files?: FileSource;
}

/** `COPY` and `ADD`. */
export interface CopyAction {
  readonly kind: 'copy';
  readonly from: FileSource;
  /** Paths below the source's root; may have wildcards. */
  readonly sources: readonly string[];
  readonly remoteFiles: readonly RemoteFile[];
  readonly gitSources: readonly GitSource[];
  readonly inlineFiles: readonly { readonly name: string; readonly content: string }[];
  /** Absolute; ends with `/` when it must be a folder. */
  readonly destination: string;
  readonly owner?: string;
  /** Octal or symbolic, as chmod(1) takes it. */
  readonly mode?: string;
  readonly excludes: readonly string[];
  /** The layer does not depend on what is below it. */
  readonly isLink: boolean;
  readonly keepsParents: boolean;
  /** Archives among the paths are unpacked. */
  readonly unpacks: boolean;
  /** Archives among the remote files are unpacked. */
  readonly unpacksRemote: boolean;
}

/** A file that ADD fetches. */
export interface RemoteFile {
  readonly url: string;
  readonly checksum?: Digest;
}

/** `WORKDIR`: a folder that must exist. */
export interface FolderAction {
  readonly kind: 'folder';
  readonly path: string;
  /** Owner of folders that are made. */
  readonly user: string;
}

export type FileAction = RunAction | CopyAction | FolderAction;

/** One instruction, planned. Steps without an action change only the configuration. */
export interface Step {
  /** Counts from 1 over the whole build, as `Step 3/7` shows it. */
  readonly number: number;
  /** As shown to people. */
  readonly text: string;
  readonly position: Position;
  /** The file the position is in: the Dockerfile, or a base image's triggers. */
  readonly source: SourceFile;
  readonly createdBy: string;
  readonly action?: FileAction;
  /** Left out of the image's history (ONBUILD). */
  readonly isHidden: boolean;
}

export type StageBase =
  | { readonly kind: 'scratch' }
  | { readonly kind: 'stage'; readonly stage: number }
  | { readonly kind: 'image'; readonly reference: string; readonly id: Digest; readonly config: ImageConfig };

export interface StagePlan {
  readonly index: number;
  readonly name: string;
  readonly base: StageBase;
  /** Number and text of the FROM line. */
  readonly number: number;
  readonly text: string;
  readonly position: Position;
  readonly steps: readonly Step[];
  readonly state: StageState;
  readonly platform: { readonly os: string; readonly architecture: string; readonly variant?: string };
}

export interface BuildPlan {
  /** Only the stages the target needs, in file order. */
  readonly stages: readonly StagePlan[];
  readonly target: number;
  /** Of all steps, FROM lines included. */
  readonly stepCount: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly warnings: readonly ErrorPlace[];
  /** Seconds since the epoch that times in the image are limited to (build argument SOURCE_DATE_EPOCH). */
  readonly sourceDateEpoch?: number;
}

export type { Healthcheck, HistoryEntry };
