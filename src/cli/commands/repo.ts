import { gantryApiVersion, type Repository, resources } from '../../api/mod.ts';
import { pollUntil, withTimeout } from '../../kernel/mod.ts';
import { formatAge, formatTable, print, printJson } from '../output.ts';
import { type InstanceOptions, interruptSignal, openSession } from '../session.ts';

interface NamespaceOptions extends InstanceOptions { namespace: string }

/** Creates the Repository, waits until git serves it, and prints the remote. */
export async function createRepository(name: string, options: NamespaceOptions & { defaultBranch: string; protect?: string[] }): Promise<void> {
  await using session = await openSession(options);
  const signal = withTimeout(interruptSignal(), 30_000);
  const repository: Repository = {
    apiVersion: gantryApiVersion,
    kind: 'Repository',
    metadata: { name, namespace: options.namespace },
    spec: { defaultBranch: options.defaultBranch, ...(options.protect === undefined ? {} : { protectedBranches: options.protect }) },
  };
  await session.client.create(resources.repositories, repository, signal);
  const remote = remoteOf(session.web, options.namespace, name);
  await pollUntil(`git to serve ${name}`, () => isServed(remote, signal), { timeoutMs: 20_000, intervalMs: 50 }, signal);
  print(remote.href);
}

/** The remote with the token as password: stock git needs nothing else. */
function remoteOf(web: { url: string; token: string }, namespace: string, name: string): URL {
  const remote = new URL(namespace === 'default' ? `/${name}.git` : `/${namespace}/${name}.git`, web.url);
  remote.username = 'gantry';
  remote.password = web.token;
  return remote;
}

async function isServed(remote: URL, signal: AbortSignal): Promise<true | undefined> {
  const url = new URL(`${remote.pathname}/info/refs?service=git-upload-pack`, remote.origin);
  const authorization = `Basic ${Buffer.from(`${remote.username}:${remote.password}`).toString('base64')}`;
  const response = await fetch(url, { headers: { authorization }, signal });
  await response.body?.cancel();
  return response.ok ? true : undefined;
}

export async function listRepositories(options: NamespaceOptions & { json?: boolean }): Promise<void> {
  await using session = await openSession(options);
  const { items } = await session.client.list(resources.repositories, { namespace: options.namespace }, interruptSignal());
  if (options.json === true) return printJson(items);
  const rows = items.map(({ metadata, spec, status }) => {
    const branch = spec?.defaultBranch ?? 'main';
    const commit = status?.branches?.find(({ name }) => name === branch)?.commit;
    return [metadata.name, branch, commit?.slice(0, 10) ?? '-', formatAge(metadata.creationTimestamp)];
  });
  print(formatTable(['NAME', 'BRANCH', 'COMMIT', 'AGE'], rows));
}

export async function deleteRepository(name: string, options: NamespaceOptions): Promise<void> {
  await using session = await openSession(options);
  const signal = interruptSignal();
  // A missing repository is a mistake to tell, while the API's delete is quiet about it.
  await session.client.get(resources.repositories, { namespace: options.namespace, name }, signal);
  await session.client.delete(resources.repositories, { namespace: options.namespace, name }, {}, signal);
  print(`deleted ${name}`);
}
