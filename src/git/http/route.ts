import { requestUrl } from '../../kernel/mod.ts';
import { isCommitId, isNamespaceName, isRepositoryName, defaultNamespace, type RepositoryName } from '../names.ts';

export type GitService = 'git-upload-pack' | 'git-receive-pack';

/** A request that is for git hosting. */
export type GitRoute =
  | { kind: 'advertise'; repository: RepositoryName; service: GitService }
  | { kind: 'service'; repository: RepositoryName; service: GitService }
  | { kind: 'archive'; repository: RepositoryName; commit: string };

/** `unknown`: below a `.git` path, but nothing that is served. `none`: not git's at all. */
export type RouteResult = GitRoute | { kind: 'unknown' } | { kind: 'none' };

const services: readonly GitService[] = ['git-upload-pack', 'git-receive-pack'];

/** Reads method, path and query of a request (gitprotocol-http(5)). Only the smart protocol is served. */
export function parseGitRoute(method: string, url: string): RouteResult {
  const { pathname, searchParams } = requestUrl(url);
  const match = /^\/(?:([^/]+)\/)?([^/]+)\.git(?:\/(.*))?$/.exec(pathname);
  if (match === null) return { kind: 'none' };
  const [, namespace = defaultNamespace, name = '', rest = ''] = match;
  if (!isNamespaceName(namespace) || !isRepositoryName(name)) return { kind: 'unknown' };
  const repository = { namespace, name };
  const service = services.find((known) => known === (rest === 'info/refs' ? searchParams.get('service') : rest));
  if (rest === 'info/refs' && method === 'GET' && service !== undefined) return { kind: 'advertise', repository, service };
  if (service !== undefined && rest === service && method === 'POST') return { kind: 'service', repository, service };
  const commit = /^archive\/([^/]+)\.tar$/.exec(rest)?.[1];
  if (method === 'GET' && commit !== undefined && isCommitId(commit)) return { kind: 'archive', repository, commit };
  return { kind: 'unknown' };
}
