import type { ErrorPlace } from '../../kernel/mod.ts';
import type { TemplatePart } from './split-template.ts';

/** Where something stands in the workflow file. */
export type Place = Pick<ErrorPlace, 'file' | 'line' | 'column'>;

/** A value that may have to be evaluated when it is used: plain text, one expression without its `${{ }}`, or text with expressions in it. */
export type Template =
  | { kind: 'text'; text: string; place: Place }
  | { kind: 'expression'; expression: string; place: Place }
  | { kind: 'mixed'; parts: readonly TemplatePart[]; place: Place };

/** Names and values of environments and outputs, in file order. */
export type TemplateMap = readonly { readonly name: string; readonly value: Template }[];

/** A workflow file that holds nothing we would not honour. */
export interface Workflow {
  /** Path in the repository; a name in angle brackets for pipelines that we made up. */
  readonly path: string;
  readonly name: string;
  readonly triggers: Triggers;
  readonly env: TemplateMap;
  /** In file order; `needs` name only jobs of the list and form no circle. */
  readonly jobs: readonly Job[];
}

/** What starts the workflow. Filters are GitHub's glob patterns, later ones win, `!` takes out. */
export interface Triggers {
  readonly push: PushFilter | undefined;
  /** `workflow_dispatch`: may be started by hand. */
  readonly isManual: boolean;
}

export interface PushFilter {
  readonly branches?: readonly string[];
  readonly branchesIgnore?: readonly string[];
  readonly tags?: readonly string[];
  readonly tagsIgnore?: readonly string[];
  readonly paths?: readonly string[];
  readonly pathsIgnore?: readonly string[];
}

export interface Job {
  /** Unique in the run; of a matrix, the id in the file with a number after it. */
  readonly id: string;
  /** The id in the file: what `needs` and the `needs` context go by. */
  readonly key: string;
  readonly name: Template | undefined;
  readonly needs: readonly string[];
  readonly condition: Template | undefined;
  readonly runsOn: Template;
  readonly container: JobContainer | undefined;
  readonly services: readonly Service[];
  readonly env: TemplateMap;
  readonly outputs: TemplateMap;
  readonly shell: Template | undefined;
  readonly workingDirectory: Template | undefined;
  /** Default 360, as with GitHub. */
  readonly timeoutMinutes: Template | undefined;
  readonly matrix: Readonly<Record<string, unknown>> | undefined;
  /** Whether a failure cancels the other jobs of the same matrix. */
  readonly isFailFast: boolean;
  readonly steps: readonly Step[];
  readonly place: Place;
}

export interface Container {
  readonly image: Template;
  readonly env: TemplateMap;
}

export interface JobContainer extends Container {
  /** Asked for by the volume `/var/run/docker.sock:/var/run/docker.sock`: the job may run containers of its own. */
  readonly hasDocker: boolean;
}

export interface Service extends Container {
  /** The host name by which the job reaches it. */
  readonly name: string;
  /** Container ports; a service without a health command is ready when the first of them is open. */
  readonly ports: readonly number[];
  readonly healthCommand: string | undefined;
  /** How long the service may take to become ready. */
  readonly readyTimeoutSeconds: number;
}

export type Step = StepBase & (RunStep | CheckoutStep | BuildPushStep);

export interface StepBase {
  readonly id: string | undefined;
  readonly name: Template | undefined;
  readonly condition: Template | undefined;
  readonly env: TemplateMap;
  readonly timeoutMinutes: Template | undefined;
  readonly continueOnError: Template | undefined;
  readonly place: Place;
}

export interface RunStep {
  readonly kind: 'run';
  readonly run: Template;
  readonly shell: Template | undefined;
  readonly workingDirectory: Template | undefined;
}

export interface CheckoutStep {
  readonly kind: 'checkout';
  readonly path: Template | undefined;
}

export interface BuildPushStep {
  readonly kind: 'build-push';
  readonly inputs: Readonly<Partial<Record<BuildPushInput, Template>>>;
}

export const buildPushInputs = [
  ...(['context', 'file', 'target', 'build-args', 'labels', 'tags', 'push', 'load'] as const),
  ...(['no-cache', 'no-cache-filters', 'pull', 'platforms', 'cache-from', 'cache-to', 'build-contexts', 'outputs'] as const),
] as const;
export type BuildPushInput = (typeof buildPushInputs)[number];
