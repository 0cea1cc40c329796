import type { Readable } from 'node:stream';

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
}

/** What job pods get from the machine: TLS inspection certificates and proxies, without baking them into images. */
export interface JobEnvironment {
  /** Host path of a certificate bundle that jobs trust, or undefined. */
  certificateBundle: string | undefined;
  /** HTTP_PROXY, HTTPS_PROXY, NO_PROXY in both spellings, as configured. */
  proxyVariables: Record<string, string>;
  /** Image for `runs-on` labels, for example `ubuntu-latest` → `node:24-slim`. */
  runnerImages: Record<string, string>;
  /** `host:port` images are pushed to. */
  registryHost: string;
}
