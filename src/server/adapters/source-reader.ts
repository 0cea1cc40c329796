import type { SourceReader } from '../../ci/mod.ts';
import type { RepositoryRoot } from '../../git/mod.ts';

/** Gives ci the repositories of git hosting. */
export function sourceReaderOf(root: RepositoryRoot): SourceReader {
  return {
    readFile: async (repository, commit, path, signal) => (await root.get(repository)).readFile(commit, path, signal),
    listFiles: async (repository, commit, folder, signal) => (await root.get(repository)).listFiles(commit, folder, signal),
    changedFiles: async (repository, before, after, signal) => (await root.get(repository)).changedFiles(before, after, signal),
    archive: async (repository, commit, signal) => (await root.get(repository)).archive(commit, signal),
    commitInfo: async (repository, commit, signal) => (await root.get(repository)).commitInfo(commit, signal),
  };
}
