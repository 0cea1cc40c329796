/** What a request asks for, read from its method and path alone (Kubernetes API concepts, "Resource URIs"). */
export interface RequestInfo {
  readonly isResource: boolean;
  /** get, list, watch, create, update, patch, delete, deletecollection; for other paths the method in lower case. */
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  readonly namespace: string;
  readonly plural: string;
  readonly subresource: string;
  readonly name: string;
  /** What follows a proxied subresource. */
  readonly rest: string;
  readonly path: string;
}

const verbs: Readonly<Record<string, string>> = { GET: 'get', HEAD: 'get', POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** Reads method and path. A path that no resource can have becomes a non-resource request. */
export function parseRequestInfo(method: string, path: string, query: URLSearchParams): RequestInfo {
  const parts = splitPath(path);
  const other: RequestInfo = { isResource: false, verb: method.toLowerCase(), group: '', version: '', namespace: '', plural: '', subresource: '', name: '', rest: '', path };
  const isLegacy = parts?.[0] === 'api';
  if (parts === undefined || (!isLegacy && parts[0] !== 'apis')) return other;
  const [group = '', version = ''] = isLegacy ? ['', parts[1]] : [parts[1], parts[2]];
  let tail = parts.slice(isLegacy ? 2 : 3);
  if (tail.length === 0 || tail.some((part) => part === '')) return other;
  let namespace = '';
  if (tail[0] === 'namespaces' && tail.length > 2 && !(isLegacy && tail.length === 3 && (tail[2] === 'status' || tail[2] === 'finalize'))) {
    namespace = tail[1] ?? '';
    tail = tail.slice(2);
  }
  const [plural = '', name = '', subresource = '', ...rest] = tail;
  // A namespace's own requests are also in that namespace, for authorization.
  if (isLegacy && plural === 'namespaces' && name !== '') namespace = name;
  return { isResource: true, verb: verbOf(method, name, query), group, version, namespace, plural, subresource, name, rest: rest.join('/'), path };
}

function verbOf(method: string, name: string, query: URLSearchParams): string {
  const verb = verbs[method] ?? method.toLowerCase();
  const watch = query.get('watch');
  const isWatch = watch !== null && watch !== 'false' && watch !== '0';
  if (verb === 'get' && name === '') return isWatch ? 'watch' : 'list';
  if (verb === 'delete' && name === '') return 'deletecollection';
  return verb;
}

function splitPath(path: string): string[] | undefined {
  try {
    const parts = path.split('/').slice(1).map(decodeURIComponent);
    if (parts.at(-1) === '') parts.pop();
    return parts;
  } catch {
    return undefined;
  }
}
