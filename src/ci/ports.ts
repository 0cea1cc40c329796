import type { Readable, Writable } from 'node:stream';
import type { ImageBuildSpec } from '../api/mod.ts';

/** Read access to a repository at a commit. */
export interface SourceReader {
  /** The file's text, or undefined when the commit has none there. At most 1 MiB, else `exhausted`. */
  readFile(repository: RepositoryRef, commit: string, path: string, signal: AbortSignal): Promise<string | undefined>;
  /** Paths of all files under a folder, relative to the repository's root. */
  listFiles(repository: RepositoryRef, commit: string, folder: string, signal: AbortSignal): Promise<string[]>;
  /** Paths that differ between the commits; without `before`, all files. */
  changedFiles(repository: RepositoryRef, before: string | undefined, commit: string, signal: AbortSignal): Promise<string[]>;
  /** The tree as an uncompressed tar archive. */
  archive(repository: RepositoryRef, commit: string, signal: AbortSignal): Promise<Readable>;
  /** Subject, author and e-mail of a commit, for the `github` context. */
  commitInfo(repository: RepositoryRef, commit: string, signal: AbortSignal): Promise<{ message: string; author: string; email: string; timestamp: string }>;
}

export interface RepositoryRef { namespace: string; name: string }

/** Keeps job logs. One log per run and job; lines are appended while the job runs and read by many. */
export interface LogStore {
  append(run: RepositoryRef, job: string, text: string): Promise<void>;
  /** Everything so far; then, when `follow`, what comes until the log is closed or the signal aborts. */
  read(run: RepositoryRef, job: string, follow: boolean, signal: AbortSignal): AsyncIterable<string>;
  close(run: RepositoryRef, job: string): Promise<void>;
  /** Takes back a `close`, for a job that starts over. */
  reopen(run: RepositoryRef, job: string): Promise<void>;
  /** Removes all logs of the run. */
  remove(run: RepositoryRef): Promise<void>;
}

/** Where the steps of a job are carried out. */
export interface JobExecutor {
  /**
   * Starts the job's container and its services; resolves when commands can be run and every service is ready.
   * What an earlier attempt left under the same name is removed first. `unavailable` or `timeout` says which container did not start.
   */
  open(request: JobRequest, progress: (line: string) => void, signal: AbortSignal): Promise<JobSession>;
  /** Removes whatever is left of the run's jobs. */
  sweep(run: RepositoryRef, signal: AbortSignal): Promise<void>;
}

export interface JobRequest {
  run: { namespace: string; name: string; uid: string };
  jobId: string;
  podName: string;
  image: string;
  env: Record<string, string>;
  services: JobService[];
  /** Host path of the job's package cache, mounted at `packageCachePath`. */
  cachePath: string | undefined;
  /** Whether the job gets a Docker socket of its own at `/var/run/docker.sock`, which ends with the job and all that was made through it. */
  hasDocker: boolean;
}

export interface JobService {
  /** Host name at which the job reaches it. */
  name: string;
  image: string;
  env: Record<string, string>;
  ports: number[];
  healthCommand: string | undefined;
  readyTimeoutSeconds: number;
}

/** A started job. Disposing it ends everything in it at once. */
export interface JobSession extends AsyncDisposable {
  /** The folder that steps work in, and one for our own files; absolute paths inside the container. */
  readonly workspace: string;
  readonly temporary: string;
  /**
   * Runs one command. Aborting stops waiting for it, but need not end it. `unavailable`: the connection to it is lost through no
   * fault of the job, which may be started over.
   */
  exec(command: string[], streams: JobStreams, signal: AbortSignal): Promise<{ exitCode: number }>;
}

export interface JobStreams { stdin?: Readable; stdout?: Writable; stderr?: Writable }

/** Builds images for `docker/build-push-action`. */
export interface JobImageBuilder {
  /** Runs the build to its end, its log line by line. `owner` is the run, which the build goes away with. A failed build is `invalid`. */
  build(owner: JobRequest['run'], name: string, spec: ImageBuildSpec, log: (text: string) => void, signal: AbortSignal): Promise<{ imageId: string | undefined; digest: string | undefined }>;
}

/** What job pods get from the machine: TLS inspection certificates and proxies, without baking them into images. */
export interface JobEnvironment {
  /** Host path of a certificate bundle that jobs trust, or undefined. */
  certificateBundle: string | undefined;
  /** HTTP_PROXY, HTTPS_PROXY, NO_PROXY in both spellings, as configured. */
  proxyVariables: Record<string, string>;
  /** Image for `runs-on` labels, for example `ubuntu-latest` → `node:24-slim`. The label `*` stands for all others. */
  runnerImages: Record<string, string>;
  /** `host:port` images are pushed to. */
  registryHost: string;
  /** Folder of the node for what package managers download, kept from job to job; undefined where jobs run on other machines. */
  cacheFolder: string | undefined;
}
