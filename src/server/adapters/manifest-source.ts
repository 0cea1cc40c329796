import type { ManifestSource } from '../../delivery/mod.ts';
import type { RepositoryRoot } from '../../git/mod.ts';

/** Gives delivery the manifests of git hosting. */
export function manifestSourceOf(root: RepositoryRoot): ManifestSource {
  return {
    readManifests: async (name, commit, folder, signal) => {
      const repository = await root.get(name);
      const paths = (await repository.listFiles(commit, folder, signal)).filter((path) => /\.(ya?ml|json)$/.test(path)).toSorted();
      return Promise.all(paths.map(async (path) => ({ path, text: (await repository.readFile(commit, path, signal)) ?? '' })));
    },
    annotateCommit: async (name, commit, note, signal) => (await root.get(name)).annotate(commit, note, signal),
  };
}
