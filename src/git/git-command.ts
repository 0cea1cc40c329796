import { fileURLToPath } from 'node:url';
import { baseEnv, type CommandResult, runCommand } from '../kernel/mod.ts';

/** What every git process of ours is started with, beside the repository it works on. */
export interface GitSettings {
  /** Folder with our hooks; see push/hooks-folder.ts. */
  readonly hooksFolder: string;
}

/**
 * Configuration that holds for all repositories, whatever their own config files say: it is given by environment, which
 * overrides them, so that a folder of foreign repositories can be served without writing into their configuration.
 */
function configuration({ hooksFolder }: GitSettings): [name: string, value: string][] {
  return [
    ['core.hooksPath', hooksFolder],
    ['core.fsync', 'committed,loose-object,reference'],
    ['http.receivepack', 'true'],
    ['http.uploadpack', 'true'],
    ['http.getanyfile', 'false'],
    ['receive.procReceiveRefs', 'refs'],
    ['receive.fsckObjects', 'true'],
    // Faults of old tools that live on in long histories and do no harm.
    ['receive.fsck.zeroPaddedFilemode', 'warn'],
    ['receive.fsck.badTimezone', 'warn'],
    ['receive.fsck.missingSpaceBeforeDate', 'warn'],
    ['receive.advertiseAtomic', 'true'],
    ['receive.autogc', 'true'],
    ['transfer.hideRefs', 'refs/gantry'],
    ['uploadpack.allowFilter', 'true'],
    ['gc.auto', '2000'],
    ['tar.umask', '0022'],
    ['core.logAllRefUpdates', 'false'],
    // The folder may belong to another user than ours; which folders are served is decided by the root folder alone.
    ['safe.directory', '*'],
  ];
}

/** The whole environment of a git process: nothing of the machine's or the user's git configuration counts. */
export function gitEnvironment(settings: GitSettings): Record<string, string> {
  const entries = configuration(settings);
  return {
    ...baseEnv(),
    LC_ALL: 'C.UTF-8',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_CONFIG_COUNT: String(entries.length),
    ...Object.fromEntries(entries.flatMap(([name, value], index) => [[`GIT_CONFIG_KEY_${index}`, name], [`GIT_CONFIG_VALUE_${index}`, value]])),
  };
}

export interface GitOptions {
  readonly stdin?: string;
  readonly okCodes?: readonly number[];
  readonly maxOutputBytes?: number;
}

/** Runs git on one bare repository. */
export function runGit(settings: GitSettings, folder: string, args: readonly string[], options: GitOptions, signal: AbortSignal): Promise<CommandResult> {
  return runCommand('git', [`--git-dir=${folder}`, ...args], { ...options, cwd: folder, env: gitEnvironment(settings) }, signal);
}

/** The program that git starts as its proc-receive hook. */
export const procReceiveProgram = fileURLToPath(new URL('hook/proc-receive.ts', import.meta.url));
