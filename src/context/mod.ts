/**
 * context: the folder that an image is built from, as its client sees it: which files a build may see (.dockerignore), what of them changed,
 * and an archive of those. It loads little, because the command line needs it at every build. Read ignore-rules.ts and manifest.ts.
 */
export { compileIgnoreRules, IgnoreRules, parseIgnoreFile } from './ignore-rules.ts';
export { compareManifests, isFolderStamp, type Manifest, type ManifestChanges, readManifest } from './manifest.ts';
export { packFiles } from './pack-files.ts';
export { toPathExpression } from './path-pattern.ts';
