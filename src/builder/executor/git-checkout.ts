import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { baseEnv, GantryError, isError, runCommand } from '../../kernel/mod.ts';
import type { BuildEnvironment } from '../config.ts';
import type { GitSource } from '../plan/git-source.ts';

/**
 * Settings for repositories that nobody has checked: no configuration of the machine or the user, no hooks, no helpers, no prompts,
 * only protocols of the network, and no path of a tree that another system would take for `.git`.
 */
const settings: readonly string[] = [
  ...['protocol.allow=never', 'protocol.https.allow=always', 'protocol.http.allow=always', 'protocol.git.allow=always', 'protocol.ssh.allow=always'],
  ...['core.hooksPath=/dev/null', 'core.fsmonitor=false', 'core.protectNTFS=true', 'core.protectHFS=true', 'core.autocrlf=false', 'credential.helper=', 'submodule.recurse=false', 'init.defaultBranch=main', 'gc.auto=0'],
].flatMap((setting) => ['-c', setting]);

/** The commit that the source means now. `not-found` when the repository has no such ref, `unavailable` when it cannot be asked, `invalid` when it is not the expected one. */
export async function resolveGitSource(source: GitSource, environment: BuildEnvironment, signal: AbortSignal): Promise<string> {
  const { ref, checksum } = source;
  const commit = ref !== undefined && /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(ref) ? ref : await askForCommit(source, environment, signal);
  if (checksum !== undefined && !commit.startsWith(checksum)) throw new GantryError('invalid', `${source.text} is the commit ${commit}, not ${checksum}`);
  return commit;
}

async function askForCommit({ text, remote, ref = 'HEAD' }: GitSource, environment: BuildEnvironment, signal: AbortSignal): Promise<string> {
  const { stdout } = await git(['ls-remote', '--', remote], undefined, environment, text, signal);
  const found = new Map(stdout.split('\n').flatMap((line): [string, string][] => (line === '' ? [] : [[line.slice(line.indexOf('\t') + 1), line.slice(0, line.indexOf('\t'))]])));
  // Tags win over branches of the same name; of an annotated tag the commit is meant.
  for (const name of [`${ref}^{}`, ref, `refs/tags/${ref}^{}`, `refs/tags/${ref}`, `refs/heads/${ref}`]) {
    const commit = found.get(name);
    if (commit !== undefined) return commit;
  }
  throw new GantryError('not-found', `${text}: the repository has no ${ref}`);
}

/** Checks the commit out into the folder, which is made. Files are root's; `.git` stays only when the source keeps it. */
export async function checkOutGitSource(source: GitSource, commit: string, folder: string, environment: BuildEnvironment, signal: AbortSignal): Promise<void> {
  const { remote, text, hasSubmodules, keepsGitFolder, ref } = source;
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const run = async (args: readonly string[]): Promise<void> => void (await git(args, folder, environment, text, signal));
  await run(['init', '--quiet']);
  await run(['remote', 'add', 'origin', remote]);
  try {
    await run(['fetch', '--quiet', '--depth=1', '--no-tags', '--', 'origin', commit]);
  } catch (error) {
    // Servers may refuse to hand out commits that no ref names.
    if (!isError(error, 'unavailable') || signal.aborted) throw error;
    await run(['fetch', '--quiet', '--', 'origin', ref ?? 'HEAD']);
  }
  await run(['checkout', '--quiet', '--detach', commit]);
  if (hasSubmodules) await run(['submodule', '--quiet', 'update', '--init', '--recursive', '--depth=1']);
  if (!keepsGitFolder) await removeGitFolders(folder);
}

/** The repository's own `.git` and the files of that name in submodules. */
async function removeGitFolders(folder: string): Promise<void> {
  await rm(join(folder, '.git'), { recursive: true, force: true });
  for (const entry of await readdir(folder, { withFileTypes: true })) if (entry.isDirectory()) await removeGitFolders(join(folder, entry.name));
}

async function git(args: readonly string[], cwd: string | undefined, { certificateBundle, proxyVariables }: BuildEnvironment, shown: string, signal: AbortSignal): Promise<{ stdout: string }> {
  const env = {
    ...baseEnv(),
    ...proxyVariables,
    ...(certificateBundle === undefined ? {} : { GIT_SSL_CAINFO: certificateBundle }),
    HOME: '/nonexistent',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: 'true',
    GIT_SSH_COMMAND: 'ssh -F /dev/null -oBatchMode=yes',
    GIT_LFS_SKIP_SMUDGE: '1',
    LC_ALL: 'C',
  };
  try {
    return await runCommand('git', [...settings, ...args], { env, ...(cwd === undefined ? {} : { cwd }), maxOutputBytes: 64 << 20 }, signal);
  } catch (error) {
    if (signal.aborted || !isError(error, 'internal')) throw error;
    const said = typeof error.details['stderr'] === 'string' ? error.details['stderr'].trim().slice(-2000) : error.message;
    throw new GantryError('unavailable', `git ${args[0] ?? ''} of ${shown} failed: ${said}`, { cause: error });
  }
}
