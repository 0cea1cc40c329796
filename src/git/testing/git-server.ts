import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { baseEnv, type CommandResult, runCommand, silentLogger } from '../../kernel/mod.ts';
import type { GitSettings } from '../git-command.ts';
import { GitHttpHandler } from '../http/handler.ts';
import type { PushGate } from '../ports.ts';
import { writeHooksFolder } from '../push/hooks-folder.ts';
import type { BranchPolicy } from '../push/judge.ts';
import { PushServer } from '../push/push-server.ts';
import { PushReceiver } from '../push/receiver.ts';
import { RepositoryRoot } from '../repository-root.ts';

/** Limit of one step of a test. */
export const testTimeoutMs = 30_000;

export function testSignal(): AbortSignal {
  return AbortSignal.timeout(testTimeoutMs);
}

/** Git hosting over HTTP on loopback with a gate of the test's, without an API server. The token is `s3cret`. */
export class TestGitServer implements AsyncDisposable {
  readonly folder: string;
  readonly root: RepositoryRoot;
  readonly pushes: PushServer;
  readonly #server: Server;

  constructor(folder: string, root: RepositoryRoot, pushes: PushServer, server: Server) {
    this.folder = folder;
    this.root = root;
    this.pushes = pushes;
    this.#server = server;
  }

  static async open(gate: PushGate, policy: Partial<BranchPolicy> = {}): Promise<TestGitServer> {
    const folder = await mkdtemp(join(tmpdir(), 'gantry-git-'));
    const settings: GitSettings = { hooksFolder: join(folder, 'hooks') };
    await writeHooksFolder(settings.hooksFolder);
    const root = await RepositoryRoot.open(join(folder, 'repositories'), settings);
    const log = silentLogger();
    const policyOf = (): BranchPolicy => ({ defaultBranch: 'main', protectedBranches: ['main'], ...policy });
    const receiver = new PushReceiver({ root, gate, log, policyOf, onMoved: () => undefined });
    const pushes = await PushServer.open(receiver, join(folder, 'hook.sock'), log);
    const authenticator = { authenticate: async (user: string, token: string) => (token === 's3cret' ? user : undefined) };
    const http = new GitHttpHandler({ root, settings, authenticator, pushes, log });
    const server = createServer({ requestTimeout: 0 }, (request, response) => {
      void http.handle(request, response).then((isHandled) => {
        if (!isHandled) response.writeHead(404).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new TestGitServer(folder, root, pushes, server);
  }

  url(path: string, token = 's3cret'): string {
    return `http://alice:${token}@127.0.0.1:${(this.#server.address() as AddressInfo).port}${path}`;
  }

  /** Makes the repository and an empty working copy with `origin` set. */
  async repository(name: string): Promise<TestWorkTree> {
    await this.root.create({ namespace: 'default', name }, 'main', testSignal());
    return TestWorkTree.open(join(this.folder, `work-${name}-${Math.random().toString(36).slice(2)}`), this.url(`/${name}.git`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pushes[Symbol.asyncDispose]();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await rm(this.folder, { recursive: true, force: true });
  }
}

const isolation = { GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null', GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C.UTF-8' };
const identity = { GIT_AUTHOR_NAME: 'Alice', GIT_AUTHOR_EMAIL: 'alice@example.com', GIT_COMMITTER_NAME: 'Alice', GIT_COMMITTER_EMAIL: 'alice@example.com' };

/** A working copy driven by the real git client, with nobody's configuration but its own. */
export class TestWorkTree {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  static async open(folder: string, origin: string): Promise<TestWorkTree> {
    await mkdir(folder, { recursive: true });
    const tree = new TestWorkTree(folder);
    await tree.git('init', '--quiet', '--initial-branch=main');
    await tree.git('remote', 'add', 'origin', origin);
    return tree;
  }

  /** Runs git; throws on failure. */
  async git(...args: string[]): Promise<string> {
    return (await runCommand('git', args, { cwd: this.folder, env: this.environment() }, testSignal())).stdout.trim();
  }

  /** Runs git; any exit code is a result. */
  tryGit(...args: string[]): Promise<CommandResult> {
    return runCommand('git', args, { cwd: this.folder, env: this.environment(), okCodes: Array.from({ length: 256 }, (_, code) => code) }, testSignal());
  }

  environment(): Record<string, string> {
    return { ...baseEnv(), ...isolation, ...identity };
  }

  /** Writes the files and commits them; returns the commit. */
  async commit(files: Record<string, string>, message = 'change'): Promise<string> {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(this.folder, path)), { recursive: true });
      await writeFile(join(this.folder, path), text);
    }
    await this.git('add', '--all');
    await this.git('commit', '--quiet', '--allow-empty', '--message', message);
    return this.git('rev-parse', 'HEAD');
  }
}
