import type { Condition, ObjectMeta } from '../kubernetes/types.gen.ts';

/** gantry.dev/v1: what Kubernetes has no kind for. Served like any other resource; the registry's kinds are cluster-scoped, the rest namespaced. */
export const gantryApiVersion = 'gantry.dev/v1';

/** A hosted git repository. The namespace is where its application is delivered. */
export interface Repository {
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
  spec?: RepositorySpec;
  status?: RepositoryStatus;
}

export interface RepositorySpec {
  /** Branch that HEAD names. Default `main`. */
  defaultBranch?: string;
  /** Glob patterns of branches that move only when their pipeline is green. Default: the default branch. */
  protectedBranches?: string[];
}

export interface RepositoryStatus {
  conditions?: Condition[];
  /** Branch → the commit it is on and the commits delivery has marked bad, with the reason. */
  branches?: { name: string; commit: string }[];
  badCommits?: { commit: string; reason: string; release: string; time: string }[];
}

/** queued → running → (succeeded | failed | cancelled | error). `error`: the pipeline itself is broken, not the code. */
export type RunPhase = 'Queued' | 'Running' | 'Succeeded' | 'Failed' | 'Cancelled' | 'Error';
export type JobPhase = 'Waiting' | 'Running' | 'Succeeded' | 'Failed' | 'Cancelled' | 'Skipped';
export type TestLevel = 'unit' | 'integration' | 'e2e';

/** One execution of one workflow (or the default pipeline) for one commit. */
export interface WorkflowRun {
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
  spec?: WorkflowRunSpec;
  status?: WorkflowRunStatus;
}

export interface WorkflowRunSpec {
  repository: string;
  commit: string;
  /** Full ref name, for example `refs/heads/main`. */
  ref: string;
  /** The commit the ref was on before the push; absent for a new ref. */
  before?: string;
  event: 'push' | 'manual';
  actor: string;
  /** Path of the workflow file in the commit; absent for the default pipeline. */
  workflowPath?: string;
  /** Set to ask for a stop; the controller ends all pods and sets phase Cancelled. */
  cancelRequested?: boolean;
}

export interface TestCounts {
  level: TestLevel;
  passed: number;
  failed: number;
  skipped: number;
}

export interface FailedTest {
  level: TestLevel;
  /** Suite and test, as the test runner prints it. */
  name: string;
  message?: string;
  file?: string;
}

export interface BuiltImage {
  /** Repository name, without registry and tag. */
  name: string;
  digest: string;
  /** Full reference by digest. */
  reference: string;
}

export interface WorkflowRunStatus {
  phase?: RunPhase;
  startedAt?: string;
  finishedAt?: string;
  /** One sentence a person can act on, for example `unit: 1 of 12 failed`. */
  message?: string;
  jobs?: JobStatus[];
  tests?: TestCounts[];
  failedTests?: FailedTest[];
  /** Images the run pushed, by digest. Delivery pins manifests to them. */
  images?: BuiltImage[];
}

export interface JobStatus {
  id: string;
  name: string;
  phase: JobPhase;
  pod?: string;
  startedAt?: string;
  finishedAt?: string;
  message?: string;
  outputs?: Record<string, string>;
  steps?: StepStatus[];
  /** Counts from 1; more than 1 when a stop of the server made the job start over. */
  attempt?: number;
  /** What this job adds to the run's tests, failed tests and images. */
  tests?: TestCounts[];
  failedTests?: FailedTest[];
  images?: BuiltImage[];
}

export interface StepStatus {
  name: string;
  phase: JobPhase;
  exitCode?: number;
  startedAt?: string;
  finishedAt?: string;
}

/** One image build, done by the node agent named in `spec.nodeName`. */
export interface ImageBuild {
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
  spec?: ImageBuildSpec;
  status?: ImageBuildStatus;
}

export interface ImageBuildSpec {
  /** Absent until a node takes the build. */
  nodeName?: string;
  source: { repository: string; commit: string };
  /** Folder of the build context inside the repository. Default `.`. */
  contextPath?: string;
  /** Path of the Dockerfile inside the context. Default `Dockerfile`. */
  dockerfile?: string;
  target?: string;
  buildArgs?: Record<string, string>;
  labels?: Record<string, string>;
  /** References the result gets. */
  tags: string[];
  /** Every step runs, or every step of these stages. */
  noCache?: boolean;
  noCacheStages?: string[];
  /** Base images are asked for at their registry even when they are local. */
  pull?: boolean;
  /** `os/architecture[/variant]`; only the node's own. */
  platform?: string;
  /** Images of registries that carry results of steps. */
  cacheFrom?: string[];
  /** Where results are pushed. Builds that nobody vouches for push none: builds of protected branches might read them. */
  cacheTo?: { reference: string; mode: 'min' | 'max' }[];
  /** The image itself carries the results of its stage's steps. */
  inlineCache?: boolean;
  /** Further contexts by name: `docker-image://NAME`, or the URL of a git repository. */
  contexts?: Record<string, string>;
  /** How layers are stored and described. Default: gzip, OCI. */
  format?: { compression: 'gzip' | 'zstd' | 'uncompressed'; level?: number; force?: boolean; mediaTypes?: 'oci' | 'docker' };
  /** Whether the tags are pushed to their registry. Without it the image is only in the node's store. */
  push: boolean;
  /**
   * Set for builds that nobody vouches for, such as those of unprotected branches: what they leave in the build cache is seen only by
   * builds of the same scope, and they read what trusted builds left. Absent: trusted.
   */
  untrustedScope?: string;
}

export interface ImageBuildStatus {
  phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed';
  message?: string;
  startedAt?: string;
  finishedAt?: string;
  imageId?: string;
  /** The manifest digest; set when pushed. */
  digest?: string;
}

/** pending → deploying → (live → superseded | rolledBack) | failed. */
export type ReleasePhase = 'Pending' | 'Deploying' | 'Live' | 'Superseded' | 'RolledBack' | 'Failed';

/** Image digests and the manifests that go with them. Immutable but for its status; a rollback re-applies an old one. */
export interface Release {
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
  spec?: ReleaseSpec;
  status?: ReleaseStatus;
}

export interface ReleaseSpec {
  repository: string;
  commit: string;
  ref: string;
  /** Counts from 1 for each repository. */
  number: number;
  run?: string;
  images: { name: string; digest: string; reference: string }[];
  /** The manifests of `deploy/`, images pinned, in the order they are applied. */
  manifests: Record<string, unknown>[];
  /** Set when the release was made to take another back. */
  rollbackOf?: string;
}

export interface ReleaseStatus {
  phase?: ReleasePhase;
  reason?: string;
  message?: string;
  startedAt?: string;
  finishedAt?: string;
  /** Addresses at which the application answers. */
  urls?: string[];
  conditions?: Condition[];
}

export type RegistryAction = 'pull' | 'push' | 'delete';

/** A robot of the registry: what it may do where. Cluster-scoped; its name is the user name. The secret itself is kept nowhere. */
export interface RegistryToken {
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
  spec?: RegistryTokenSpec;
}

export interface RegistryTokenSpec {
  /** `sha256:` and the hex digest of the secret, which has 256 random bits. */
  secretHash: string;
  /** Glob patterns of repositories: `*` within a part of the name, `**` across parts. */
  repositories: string[];
  verbs: RegistryAction[];
  /** RFC 3339. Absent: until it is revoked. */
  expiresAt?: string;
  description?: string;
}

/** Rules for the registry's repositories that match. Cluster-scoped; of several that match, each rule counts: grants add up, the strictest limit wins. */
export interface RegistryPolicy {
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
  spec?: RegistryPolicySpec;
}

export interface RegistryPolicySpec {
  /** Glob patterns of repositories. */
  repositories: string[];
  /** Whether anybody may pull, without credentials. */
  anonymousPull?: boolean;
  /** What users of the token file may do. */
  grants?: { users?: string[]; groups?: string[]; verbs: RegistryAction[] }[];
  /** Glob patterns of tags that, once set, neither move nor go, also not by retention. */
  immutableTags?: string[];
  retention?: {
    /** How many of the newest tags stay. */
    keepTags?: number;
    /** Tags that were set longer ago go. */
    maxTagAgeDays?: number;
    /** Glob patterns of tags that always stay and are not counted. */
    keep?: string[];
  };
}

/** Another registry whose images are served from here and kept: `<prefix>/<name>` is `<name>` there. Cluster-scoped. */
export interface RegistryUpstream {
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
  spec?: RegistryUpstreamSpec;
}

export interface RegistryUpstreamSpec {
  /** First part of the repositories' names here, for example `docker.io`. */
  prefix: string;
  /** Host and port of the registry, for example `registry-1.docker.io`. */
  host: string;
  /** How long a tag is served without asking again. Default 60. */
  freshSeconds?: number;
  /** A Secret with `username` and `password`. */
  credentials?: { namespace: string; name: string };
}
