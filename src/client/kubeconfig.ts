import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { errnoOf, GantryError, parseWith, writeFileAtomic } from '../kernel/mod.ts';
import type { KubeConnection } from './connection.ts';

const clusterSchema = z.looseObject({
  server: z.url(),
  'certificate-authority': z.string().optional(),
  'certificate-authority-data': z.string().optional(),
  'insecure-skip-tls-verify': z.boolean().optional(),
  'tls-server-name': z.string().optional(),
  'proxy-url': z.never({ error: 'proxies are not supported' }).optional(),
});

const userSchema = z.looseObject({
  'client-certificate': z.string().optional(),
  'client-certificate-data': z.string().optional(),
  'client-key': z.string().optional(),
  'client-key-data': z.string().optional(),
  token: z.string().optional(),
  tokenFile: z.string().optional(),
  exec: z.never({ error: 'credential plugins are not supported' }).optional(),
  'auth-provider': z.never({ error: 'credential plugins are not supported' }).optional(),
  username: z.never({ error: 'passwords are not supported' }).optional(),
});

/** Kubeconfig v1, as far as we use it. Keys of other programs are kept out of the way, not refused. */
const kubeconfigSchema = z.looseObject({
  'current-context': z.string(),
  clusters: z.array(z.looseObject({ name: z.string(), cluster: clusterSchema })),
  contexts: z.array(z.looseObject({ name: z.string(), context: z.looseObject({ cluster: z.string(), user: z.string(), namespace: z.string().optional() }) })),
  users: z.array(z.looseObject({ name: z.string(), user: userSchema.nullish() })),
});

export interface Kubeconfig {
  readonly connection: KubeConnection;
  /** The context's namespace; `default` when it names none. */
  readonly namespace: string;
}

/** Reads a kubeconfig file's context (default: the current one). `not-found` without the file, `invalid` for what we cannot use. */
export async function readKubeconfig(file: string, context?: string): Promise<Kubeconfig> {
  const config = parseWith(kubeconfigSchema, parseYaml(await readNamed(file, 'kubeconfig'), file), 'kubeconfig', file);
  const contextName = context ?? config['current-context'];
  const chosen = named(config.contexts, contextName, 'context', file).context;
  const { cluster } = named(config.clusters, chosen.cluster, 'cluster', file);
  const user = named(config.users, chosen.user, 'user', file).user ?? {};
  const pem = (data: string | undefined, path: string | undefined): Promise<string | undefined> => readPem(data, path, dirname(file));
  const tokenFile = user.tokenFile === undefined ? undefined : (await readNamed(resolve(dirname(file), user.tokenFile), 'token file')).trim();
  return {
    namespace: chosen.namespace ?? 'default',
    connection: {
      server: cluster.server,
      ca: await pem(cluster['certificate-authority-data'], cluster['certificate-authority']),
      clientCert: await pem(user['client-certificate-data'], user['client-certificate']),
      clientKey: await pem(user['client-key-data'], user['client-key']),
      token: user.token ?? tokenFile,
      isServerUnverified: cluster['insecure-skip-tls-verify'],
      tlsServerName: cluster['tls-server-name'],
    },
  };
}

/** Writes a kubeconfig (mode 0600) with one context called `name`, everything inside the one file. */
export async function writeKubeconfig(file: string, name: string, { connection, namespace }: Kubeconfig): Promise<void> {
  const base64 = (pem: string | undefined): string | undefined => (pem === undefined ? undefined : Buffer.from(pem).toString('base64'));
  const cluster = { server: connection.server, 'certificate-authority-data': base64(connection.ca), 'insecure-skip-tls-verify': connection.isServerUnverified, 'tls-server-name': connection.tlsServerName };
  const user = { 'client-certificate-data': base64(connection.clientCert), 'client-key-data': base64(connection.clientKey), token: connection.token };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    clusters: [{ name, cluster }],
    contexts: [{ name, context: { cluster: name, user: name, namespace } }],
    users: [{ name, user }],
  };
  await writeFileAtomic(file, stringify(config, { keepUndefined: false, lineWidth: 0 }), 0o600);
}

function named<T extends { name: string }>(items: readonly T[], name: string, what: string, file: string): T {
  const item = items.find((candidate) => candidate.name === name);
  if (item === undefined) throw new GantryError('invalid', `kubeconfig ${file}: there is no ${what} ${JSON.stringify(name)}`);
  return item;
}

function parseYaml(text: string, file: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw new GantryError('invalid', `kubeconfig ${file}: ${error instanceof Error ? error.message : ''}`, { cause: error });
  }
}

async function readPem(data: string | undefined, path: string | undefined, folder: string): Promise<string | undefined> {
  if (data !== undefined) return Buffer.from(data, 'base64').toString();
  return path === undefined ? undefined : readNamed(resolve(folder, path), 'certificate or key file');
}

async function readNamed(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new GantryError(errnoOf(error) === 'ENOENT' ? 'not-found' : 'forbidden', `cannot read the ${what} ${path}`, { cause: error });
  }
}
