import { spawn } from 'node:child_process';
import { PassThrough, Readable } from 'node:stream';
import { GantryError, isError, throwIfAborted } from '../kernel/mod.ts';
import { gitEnvironment, type GitSettings, runGit } from './git-command.ts';
import { checkCommitId, checkTreePath } from './names.ts';

/** One movement of a ref. `before` or `after` undefined: the ref does not exist on that side. */
export interface RefChange {
  readonly ref: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

export interface CommitInfo {
  readonly message: string;
  readonly author: string;
  readonly email: string;
  /** RFC 3339, the author's date. */
  readonly timestamp: string;
}

const zeroId = '0'.repeat(40);
const maxFileBytes = 1 << 20;

/** One bare repository on disk, read and changed only through the git program. Commits are named by full ids. */
export class BareRepository {
  readonly folder: string;
  readonly #settings: GitSettings;

  constructor(folder: string, settings: GitSettings) {
    this.folder = folder;
    this.#settings = settings;
  }

  /** Refs under the prefix and what they point at; `refs/heads/` gives the branches. Sorted by name. */
  async refs(prefix: string, signal: AbortSignal): Promise<{ ref: string; commit: string }[]> {
    const { stdout } = await this.#git(['for-each-ref', '--format=%(objectname) %(refname)', prefix], signal);
    return lines(stdout).map((line) => ({ commit: line.slice(0, 40), ref: line.slice(41) }));
  }

  /** What the ref points at, or undefined when there is none. */
  async refValue(ref: string, signal: AbortSignal): Promise<string | undefined> {
    const { code, stdout } = await this.#git(['show-ref', '--verify', '--hash', '--', ref], signal, [0, 1, 128]);
    return code === 0 ? stdout.trim() : undefined;
  }

  /**
   * Moves refs, all or none, each only if it still is what `before` says. `conflict` when one is not, or when
   * its name collides with another ref (`a` and `a/b`).
   */
  async updateRefs(changes: readonly RefChange[], signal: AbortSignal): Promise<void> {
    const commands = changes.map(({ ref, before, after }) => `update ${ref}\0${after ?? zeroId}\0${before ?? zeroId}\0`);
    const stdin = `start\0${commands.join('')}prepare\0commit\0`;
    throwIfAborted(signal);
    try {
      await runGit(this.#settings, this.folder, ['update-ref', '--stdin', '-z'], { stdin }, ownDeadline());
    } catch (error) {
      if (!isError(error, 'internal')) throw error;
      throw new GantryError('conflict', refConflict(error), { cause: error });
    }
  }

  /** Sets or removes one ref without looking at what it was: for the refs that only we write. */
  async setRef(ref: string, commit: string | undefined, signal: AbortSignal): Promise<void> {
    const command = commit === undefined ? `delete ${ref}\0\0` : `update ${ref}\0${commit}\0\0`;
    throwIfAborted(signal);
    await runGit(this.#settings, this.folder, ['update-ref', '--stdin', '-z'], { stdin: command }, ownDeadline());
  }

  /** Whether `older` is in the history of `newer`, or is it. */
  async isAncestor(older: string, newer: string, signal: AbortSignal): Promise<boolean> {
    const { code } = await this.#git(['merge-base', '--is-ancestor', older, newer], signal, [0, 1]);
    return code === 0;
  }

  async hasCommit(commit: string, signal: AbortSignal): Promise<boolean> {
    checkCommitId(commit);
    const { code } = await this.#git(['cat-file', '-e', `${commit}^{commit}`], signal, [0, 1, 128]);
    return code === 0;
  }

  /** The branch that HEAD names, whether or not it exists yet. Undefined when HEAD is detached. */
  async headBranch(signal: AbortSignal): Promise<string | undefined> {
    const { code, stdout } = await this.#git(['symbolic-ref', '--quiet', 'HEAD'], signal, [0, 1]);
    return code === 0 ? stdout.trim().replace(/^refs\/heads\//, '') : undefined;
  }

  async setHeadBranch(branch: string, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    await this.#git(['symbolic-ref', 'HEAD', `refs/heads/${branch}`], ownDeadline());
  }

  /** The file's text at the commit, or undefined when there is no file of that path. More than 1 MiB is `exhausted`. */
  async readFile(commit: string, path: string, signal: AbortSignal): Promise<string | undefined> {
    checkCommitId(commit);
    checkTreePath(path);
    const entry = (await this.#git(['ls-tree', '-z', '--long', '--full-tree', commit, '--', path], signal)).stdout.split('\0')[0] ?? '';
    const found = /^100\d{3} blob ([0-9a-f]+) +(\d+)\t/.exec(entry);
    if (found === null || entry.slice(entry.indexOf('\t') + 1) !== path) return undefined;
    const [, blob = '', size = '0'] = found;
    if (Number(size) > maxFileBytes) throw new GantryError('exhausted', `${path} has ${size} bytes; at most ${maxFileBytes} are read`);
    return (await this.#git(['cat-file', 'blob', blob], signal)).stdout;
  }

  /** Paths of all regular files under the folder ('' is the root), relative to the root, in git's order. */
  async listFiles(commit: string, folder: string, signal: AbortSignal): Promise<string[]> {
    checkCommitId(commit);
    checkTreePath(folder);
    const scope = folder === '' ? [] : ['--', `${folder.replace(/\/$/, '')}/`];
    const { stdout } = await this.#git(['ls-tree', '-r', '-z', '--full-tree', commit, ...scope], signal);
    return stdout.split('\0').flatMap((entry) => (entry.startsWith('100') ? [entry.slice(entry.indexOf('\t') + 1)] : []));
  }

  /** Paths that differ between two commits; without `before`, all files of `after`. */
  async changedFiles(before: string | undefined, after: string, signal: AbortSignal): Promise<string[]> {
    if (before === undefined || !(await this.hasCommit(before, signal))) return this.listFiles(after, '', signal);
    checkCommitId(after);
    const { stdout } = await this.#git(['diff-tree', '-r', '-z', '--no-renames', '--name-only', before, after], signal);
    return stdout.split('\0').filter((path) => path !== '');
  }

  /** `not-found` when the repository has no such commit. */
  async commitInfo(commit: string, signal: AbortSignal): Promise<CommitInfo> {
    await this.#requireCommit(commit, signal);
    const { stdout } = await this.#git(['show', '--no-patch', '--no-notes', '--format=%an%x00%ae%x00%aI%x00%B', commit], signal);
    const [author = '', email = '', timestamp = '', message = ''] = stdout.split('\0');
    return { author, email, timestamp, message: message.trimEnd() };
  }

  /** The tree as an uncompressed tar archive: every file, whatever .gitattributes says of exporting. `not-found` without the commit. */
  async archive(commit: string, signal: AbortSignal): Promise<Readable> {
    await this.#requireCommit(commit, signal);
    return this.#stream(['archive', '--format=tar', commit], signal);
  }

  /** Attaches the note under refs/notes/gantry, replacing an earlier one. */
  async annotate(commit: string, note: string, signal: AbortSignal): Promise<void> {
    await this.#requireCommit(commit, signal);
    const identity = ['-c', 'user.name=Gantry', '-c', 'user.email=gantry@localhost'];
    await runGit(this.#settings, this.folder, [...identity, 'notes', '--ref=gantry', 'add', '--force', '--file=-', commit], { stdin: note }, signal);
  }

  async #requireCommit(commit: string, signal: AbortSignal): Promise<void> {
    if (!(await this.hasCommit(commit, signal))) throw new GantryError('not-found', `the repository has no commit ${commit}`);
  }

  #git(args: readonly string[], signal: AbortSignal, okCodes?: readonly number[]): Promise<{ code: number; stdout: string }> {
    return runGit(this.#settings, this.folder, args, okCodes === undefined ? {} : { okCodes }, signal);
  }

  /** Standard output as a stream that fails when git fails, and that ends git when it is destroyed. */
  #stream(args: readonly string[], signal: AbortSignal): Readable {
    throwIfAborted(signal);
    const child = spawn('git', [`--git-dir=${this.folder}`, ...args], { cwd: this.folder, env: gitEnvironment(this.#settings), stdio: ['ignore', 'pipe', 'ignore'], signal, killSignal: 'SIGKILL' });
    const exited = new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => (code === 0 ? resolve() : reject(new GantryError('internal', `git ${args[0] ?? ''} ended with ${code ?? 'a signal'}`))));
    });
    exited.catch(() => undefined);
    // Taken over at once: when git ends, Node throws away what nobody has begun to read.
    const output = child.stdout.pipe(new PassThrough());
    const read = async function* read(): AsyncGenerator<Buffer> {
      try {
        for await (const chunk of output) yield chunk as Buffer;
        await exited;
      } finally {
        child.kill('SIGKILL');
      }
    };
    return Readable.from(read(), { objectMode: false });
  }
}

/** For writes, which are short: git that is killed in the middle leaves its lock file behind. */
function ownDeadline(): AbortSignal {
  return AbortSignal.timeout(60_000);
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

function refConflict(error: GantryError): string {
  const stderr = typeof error.details.stderr === 'string' ? error.details.stderr : error.message;
  if (/exists; cannot create|there is a/.test(stderr)) return 'the name collides with another ref';
  if (/is at [0-9a-f]+ but expected|reference already exists|unable to resolve reference|is missing but expected/.test(stderr)) return 'it moved in the meantime; fetch and push again';
  return (lines(stderr).at(-1) ?? 'git refused the update').replace(/^(?:fatal|error): /, '');
}
