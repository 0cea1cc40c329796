import type { ErrorPlace } from '../../kernel/mod.ts';
import type { Digest, ImageFormat } from '../oci/types.ts';

/** What happens during a build. Steps of different stages interleave; `stage` tells them apart. */
export type BuildEvent =
  | { readonly kind: 'warning'; readonly place: ErrorPlace }
  /** What happens beside the steps. */
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'stage-started'; readonly stage: number }
  | { readonly kind: 'step-started'; readonly stage: number; readonly number: number; readonly count: number; readonly text: string }
  | { readonly kind: 'output'; readonly stage: number; readonly text: string }
  | { readonly kind: 'step-finished'; readonly stage: number; readonly number: number; readonly isCached: boolean; readonly missReason?: string; readonly id: string; readonly durationMs: number }
  | { readonly kind: 'stage-finished'; readonly stage: number }
  | { readonly kind: 'stage-failed'; readonly stage: number }
  | { readonly kind: 'finished'; readonly imageId: Digest; readonly tags: readonly string[] };

/** A stage of a build's plan. Its first step is the FROM line. */
export interface PlannedStage {
  readonly index: number;
  readonly name: string;
  readonly stepNumbers: readonly number[];
}

/** One line of the builder's answer to a build. */
export type BuildReply =
  | BuildEvent
  | { readonly kind: 'planned'; readonly stages: readonly PlannedStage[]; readonly target: number }
  | { readonly kind: 'result'; readonly imageId?: string; readonly digest?: string }
  | { readonly kind: 'error'; readonly code: string; readonly message: string };

/** A folder that was sent before, or a repository that the builder fetches. */
export type BuildContextMessage = { readonly held: string } | { readonly git: string };

/** `POST /builder/builds` of the agent's socket. Secrets are base64; they are held in memory only. */
export interface BuildMessage {
  readonly context: BuildContextMessage;
  /** `text` and `ignoreText` (the rules that the client read) when the client has the Dockerfile; else it is read from the context. */
  readonly dockerfile: { readonly path: string; readonly text?: string; readonly ignoreText?: string };
  readonly contexts?: Readonly<Record<string, BuildContextMessage | { readonly image: string }>>;
  readonly tags?: readonly string[];
  readonly target?: string;
  readonly buildArgs?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly noCache?: boolean;
  readonly noCacheStages?: readonly string[];
  readonly pull?: boolean;
  readonly network?: 'default' | 'none' | 'host';
  readonly allow?: readonly ('network.host' | 'security.insecure')[];
  readonly platform?: string;
  readonly secrets?: Readonly<Record<string, string>>;
  /** Paths of agents' sockets on this machine. */
  readonly ssh?: Readonly<Record<string, string>>;
  readonly cacheFrom?: readonly string[];
  readonly cacheTo?: readonly { readonly reference: string; readonly mode: 'min' | 'max' }[];
  readonly inlineCache?: boolean;
  readonly push?: boolean;
  /** In which form the layers leave the store, pushed now or later. Default: as they are kept, else gzip. */
  readonly format?: ImageFormat;
  /** Only the rules of build checks; nothing runs. */
  readonly check?: boolean;
}
