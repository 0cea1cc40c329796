import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { errnoOf, GantryError, shortHash } from '../../kernel/mod.ts';
import { parseIgnoreFile, IgnoreRules } from '../../context/mod.ts';
import { resolveInRoot } from '../files/resolve-in-root.ts';

/** A Dockerfile may be this long. */
const maxDockerfileBytes = 4 << 20;

/** The folder a build takes files from, unpacked, and what of it COPY does not see. */
export interface BuildContext {
  readonly folder: string;
  readonly ignore: IgnoreRules;
  readonly dockerfileText: string;
  readonly dockerfileName: string;
  /** Equal versions have equal files and rules; undefined: nothing is known. */
  readonly version: string | undefined;
}

/** The folder of a named context. */
export interface NamedFolder { readonly folder: string; readonly ignore: IgnoreRules; readonly version: string | undefined }

/** The folder with its own `.dockerignore`. */
export function openNamedFolder(folder: string, name: string, version?: string): NamedFolder {
  const rules = readInside(folder, '.dockerignore');
  return { folder, ignore: rules === undefined ? IgnoreRules.none : parseIgnoreFile(rules, `.dockerignore of the context ${name}`), version };
}

/** A Dockerfile that does not stand in the context, and the `<Dockerfile>.dockerignore` beside it. */
export interface DockerfileText { readonly text: string; readonly ignoreText?: string }

/** Reads Dockerfile and ignore file (`<Dockerfile>.dockerignore`, else `.dockerignore`) from inside the context folder. `not-found` names the file. */
export function openBuildContext(folder: string, dockerfilePath: string, dockerfile?: DockerfileText, version?: string): BuildContext {
  const dockerfileText = dockerfile?.text ?? readInside(folder, dockerfilePath);
  if (dockerfileText === undefined) throw new GantryError('not-found', `the build context has no ${dockerfilePath}`);
  const own = `${dockerfilePath}.dockerignore`;
  const ownRules = dockerfile === undefined ? readInside(folder, own) : dockerfile.ignoreText;
  const rules = ownRules ?? readInside(folder, '.dockerignore');
  return {
    folder,
    ignore: rules === undefined ? IgnoreRules.none : parseIgnoreFile(rules, ownRules === undefined ? '.dockerignore' : own),
    dockerfileText,
    dockerfileName: dockerfilePath,
    // The rules may come from elsewhere than the folder.
    version: version === undefined ? undefined : shortHash(JSON.stringify([version, rules ?? null]), 40),
  };
}

function readInside(folder: string, path: string): string | undefined {
  const hostPath = resolveInRoot(folder, path);
  try {
    const bytes = readFileSync(hostPath);
    if (bytes.length > maxDockerfileBytes) throw new GantryError('exhausted', `${path} has more than ${maxDockerfileBytes} bytes`);
    return bytes.toString();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    if (errno === 'EISDIR') throw new GantryError('invalid', `${relative(folder, hostPath) || path} is a folder`);
    throw error;
  }
}
