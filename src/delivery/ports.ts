/** Read access to a repository at a commit, and the place to record verdicts against a commit. */
export interface ManifestSource {
  /** Path and text of each `.yaml`, `.yml` and `.json` file under the folder, in path order. */
  readManifests(repository: { namespace: string; name: string }, commit: string, folder: string, signal: AbortSignal): Promise<{ path: string; text: string }[]>;
  /** Attaches a note to the commit under refs/notes/gantry, replacing an earlier one of ours. */
  annotateCommit(repository: { namespace: string; name: string }, commit: string, note: string, signal: AbortSignal): Promise<void>;
}
