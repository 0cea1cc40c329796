import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { baseEnv, runCommand } from '../../../kernel/mod.ts';
import { CertificateAuthenticator } from '../access/authenticators.ts';
import { openTestApiServer, type TestApiServer, type TestApiServerOptions } from './test-api-server.ts';
import { makeTestPki } from './test-pki.ts';

/** Why tests with the real kubectl are skipped on this machine; false when they can run. */
export function kubectlMissing(): string | false {
  try {
    execFileSync('kubectl', ['version', '--client'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'kubectl is not installed';
  }
}

/** What one run of kubectl printed. */
export interface KubectlResult { readonly code: number; readonly stdout: string; readonly stderr: string }

/** The real kubectl, as administrator of a test server with TLS, with a home folder of its own. */
export class Kubectl implements AsyncDisposable {
  readonly server: TestApiServer;
  readonly #folder: string;
  readonly #binary: string;

  private constructor(server: TestApiServer, folder: string, binary: string) {
    this.server = server;
    this.#folder = folder;
    this.#binary = binary;
  }

  /** `binary`: a certain one of those that the machine has. */
  static async open(options: TestApiServerOptions = {}, binary = 'kubectl'): Promise<Kubectl> {
    await using cleanup = new AsyncDisposableStack();
    const pki = await makeTestPki(AbortSignal.timeout(30_000));
    const server = cleanup.use(await openTestApiServer({ tls: { ...pki.server, clientCa: pki.ca }, authenticators: [new CertificateAuthenticator()], ...options }));
    const folder = await mkdtemp(join(tmpdir(), 'gantry-kubectl-'));
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
      clusters: [{ name: 'test', cluster: { server: server.url, 'certificate-authority-data': base64(pki.ca) } }],
      users: [{ name: 'admin', user: { 'client-certificate-data': base64(pki.admin.cert), 'client-key-data': base64(pki.admin.key) } }],
    };
    await writeFile(join(folder, 'config'), JSON.stringify(config), { mode: 0o600 });
    cleanup.move();
    return new Kubectl(server, folder, binary);
  }

  /** Runs it whatever its exit code is. The input goes to standard input, for `-f -`. */
  async run(args: readonly string[], input?: string): Promise<KubectlResult> {
    const env = { ...baseEnv(), KUBECONFIG: join(this.#folder, 'config'), HOME: this.#folder, KUBE_EDITOR: 'true' };
    const okCodes = Array.from({ length: 256 }, (_, code) => code);
    return runCommand(this.#binary, args, { env, okCodes, ...(input === undefined ? {} : { stdin: input }) }, AbortSignal.timeout(60_000));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
    await this.server[Symbol.asyncDispose]();
  }
}
