import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type CommandResult, baseEnv, runCommand } from '../../src/kernel/mod.ts';

const examples = resolve(import.meta.dirname, '../../examples');

/** A developer's checkout of an example, pushed with stock git. */
export class WorkingCopy implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Copies an example (without what git would ignore), makes it a repository and adds the remote. */
  static async create(example: string, remote: string, signal: AbortSignal): Promise<WorkingCopy> {
    const copy = new WorkingCopy(await mkdtemp(join(tmpdir(), `gantry-${example}-`)));
    await cp(join(examples, example), copy.folder, { recursive: true, filter: (source) => !source.includes('node_modules') });
    await copy.git(['init', '-q', '-b', 'main'], signal);
    await copy.git(['remote', 'add', 'origin', remote], signal);
    return copy;
  }

  git(args: readonly string[], signal: AbortSignal, okCodes: readonly number[] = [0]): Promise<CommandResult> {
    const identity = { GIT_AUTHOR_NAME: 'Demo', GIT_AUTHOR_EMAIL: 'demo@example.invalid', GIT_COMMITTER_NAME: 'Demo', GIT_COMMITTER_EMAIL: 'demo@example.invalid' };
    const env = { ...baseEnv(), ...identity, GIT_TERMINAL_PROMPT: '0', GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' };
    return runCommand('git', args, { cwd: this.folder, env, okCodes }, signal);
  }

  /** Replaces text in a file; it must be there, so that a changed example is noticed. */
  async edit(path: string, from: string | RegExp, to: string): Promise<void> {
    const file = join(this.folder, path);
    const before = await readFile(file, 'utf8');
    const after = before.replace(from, to);
    if (after === before) throw new Error(`${path} does not contain ${String(from)}`);
    await writeFile(file, after);
  }

  /** Commits everything; resolves to the commit id. */
  async commit(message: string, signal: AbortSignal): Promise<string> {
    await this.git(['add', '-A'], signal);
    await this.git(['commit', '-q', '-m', message], signal);
    return this.head(signal);
  }

  async head(signal: AbortSignal): Promise<string> {
    return (await this.git(['rev-parse', 'HEAD'], signal)).stdout.trim();
  }

  /** Pushes main. Exit code 1 (refused) is a result; what git printed is in `output`. */
  async push(signal: AbortSignal): Promise<{ isAccepted: boolean; output: string }> {
    const { code, stdout, stderr } = await this.git(['push', 'origin', 'main'], signal, [0, 1]);
    return { isAccepted: code === 0, output: stderr + stdout };
  }

  /** The commit the remote's main is on, or undefined. */
  async remoteMain(signal: AbortSignal): Promise<string | undefined> {
    const { stdout } = await this.git(['ls-remote', 'origin', 'refs/heads/main'], signal);
    return stdout.split('\t')[0] || undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
