import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { baseEnv, errnoOf, GantryError, parseWith, runCommand } from '../../kernel/mod.ts';
import type { RegistryCredentials } from '../ports.ts';

const text = z.string().nullish().transform((value) => value ?? undefined);
const entrySchema = z.looseObject({ auth: text, username: text, password: text, identitytoken: text, registrytoken: text });
const fileSchema = z.looseObject({ auths: z.record(z.string(), entrySchema).optional(), credHelpers: z.record(z.string(), z.string()).optional(), credsStore: z.string().optional() });
const answerSchema = z.looseObject({ Username: z.string(), Secret: z.string() });

/** The key under which clients keep the hub's credentials. */
const hubServer = 'https://index.docker.io/v1/';
const helperTimeoutMs = 30_000;

/**
 * Credentials of a docker `config.json`: `credHelpers` of the host, else `credsStore`, else `auths`. The file and the helpers are asked each time,
 * so what they say may change. Errors never hold a secret.
 */
export class DockerConfigCredentials {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Undefined when the file has none for the host. `invalid` for a malformed file; `unavailable` when a helper is missing or fails. */
  async find(host: string, signal: AbortSignal): Promise<RegistryCredentials | undefined> {
    const config = await this.#read();
    if (config === undefined) return undefined;
    const entry = Object.entries(config.auths ?? {}).find(([server]) => hostOf(server) === host);
    const helper = Object.entries(config.credHelpers ?? {}).find(([server]) => hostOf(server) === host)?.[1] ?? config.credsStore;
    if (helper !== undefined) {
      const answer = await askHelper(helper, entry?.[0] ?? (host === 'docker.io' ? hubServer : host), signal);
      if (answer !== undefined) return answer;
    }
    return entry === undefined ? undefined : credentialsOfAuth(entry[1]);
  }

  async #read(): Promise<z.output<typeof fileSchema> | undefined> {
    try {
      return parseWith(fileSchema, JSON.parse(await readFile(this.#path, 'utf8')), 'registry credentials', this.#path);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      // The parser's message would quote what it could not read.
      if (error instanceof SyntaxError) throw new GantryError('invalid', `${this.#path} is not JSON`);
      throw error;
    }
  }
}

/** The credentials of one entry: a token, a name and password, or both in `auth` (base64). */
export function credentialsOfAuth({ auth, username, password, identitytoken, registrytoken }: z.output<typeof entrySchema>): RegistryCredentials | undefined {
  const [, user, secret] = /^([^:]*):(.*)$/s.exec(Buffer.from(auth ?? '', 'base64').toString().replace(/\0+$/, '')) ?? [];
  const name = username ?? user ?? '';
  if (registrytoken !== undefined && registrytoken !== '') return { username: name, password: '', registryToken: registrytoken };
  if (identitytoken !== undefined && identitytoken !== '') return { username: name, password: '', identityToken: identitytoken };
  const plain = password ?? secret;
  return name === '' || plain === undefined ? undefined : { username: name, password: plain };
}

/** `docker-credential-NAME get`: the server on standard input, JSON on standard output; the user `<token>` means an identity token. */
async function askHelper(name: string, server: string, signal: AbortSignal): Promise<RegistryCredentials | undefined> {
  if (!/^[\w.-]+$/.test(name)) throw new GantryError('invalid', `registry credentials: ${JSON.stringify(name)} is no name of a credential helper`);
  const program = `docker-credential-${name}`;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(helperTimeoutMs)]);
  const { code, stdout } = await runCommand(program, ['get'], { stdin: server, env: baseEnv(), okCodes: Array.from({ length: 256 }, (_, at) => at), maxOutputBytes: 1 << 20 }, limit);
  if (code !== 0) {
    if (stdout.includes('credentials not found')) return undefined;
    throw new GantryError('unavailable', `${program} failed for ${server} (exit code ${code}): ${stdout.trim().slice(0, 200)}`);
  }
  const { Username, Secret } = parseWith(answerSchema, parsedAnswer(stdout, program), `answer of ${program}`);
  return Username === '<token>' ? { username: Username, password: '', identityToken: Secret } : { username: Username, password: Secret };
}

function parsedAnswer(stdout: string, program: string): unknown {
  try {
    return JSON.parse(stdout);
  } catch {
    throw new GantryError('unavailable', `${program} answered something that is not JSON`);
  }
}

/** `https://index.docker.io/v1/`, `registry.example:5000` and `https://registry.example/v2/` name hosts. */
function hostOf(server: string): string {
  const host = server.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  return host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host;
}
