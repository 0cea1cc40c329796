import type { IncomingMessage } from 'node:http';
import { GantryError } from '../../../kernel/mod.ts';
import { badRequest } from '../errors.ts';
import type { Authorizer } from './authorizer.ts';
import { anonymous, authenticated, type User } from './user.ts';

const accountPrefix = 'system:serviceaccount:';

/** The user that a request is to be treated as coming from: the one its Impersonate headers name, if the real one may do that. */
export function impersonated(user: User, request: IncomingMessage, authorizer: Authorizer): User {
  const name = headerOf(request, 'impersonate-user')[0];
  const groups = headerOf(request, 'impersonate-group');
  const uid = headerOf(request, 'impersonate-uid')[0];
  const extra = extraOf(request);
  if (name === undefined) {
    if (groups.length > 0 || uid !== undefined || extra.length > 0) throw badRequest('requested impersonation of groups, a uid or extra without a user');
    return user;
  }
  const account = name.startsWith(accountPrefix) ? name.slice(accountPrefix.length).split(':') : undefined;
  if (account === undefined) demand(authorizer, user, 'users', '', name);
  else demand(authorizer, user, 'serviceaccounts', account[0] ?? '', account[1] ?? '');
  for (const group of groups) demand(authorizer, user, 'groups', '', group);
  if (uid !== undefined) demand(authorizer, user, 'uids', '', uid, 'authentication.k8s.io');
  for (const [key, values] of extra) for (const value of values) demand(authorizer, user, 'userextras', '', value, 'authentication.k8s.io', key);
  const implied = account === undefined ? [] : ['system:serviceaccounts', `system:serviceaccounts:${account[0] ?? ''}`];
  const shown = groups.length > 0 ? groups : implied;
  const whole = name === anonymous.name || shown.includes('system:unauthenticated') ? { name, uid: uid ?? '', groups: shown.length > 0 ? shown : anonymous.groups } : authenticated(name, uid ?? '', shown);
  return extra.length === 0 ? whole : { ...whole, extra: Object.fromEntries(extra) };
}

const extraPrefix = 'impersonate-extra-';

/** `Impersonate-Extra-scopes: view` → scopes: view. Keys may be percent-encoded, since header names cannot hold every character. */
function extraOf(request: IncomingMessage): [key: string, values: string[]][] {
  return Object.keys(request.headers)
    .filter((header) => header.startsWith(extraPrefix))
    .map((header) => [decodeKey(header.slice(extraPrefix.length)), headerOf(request, header)]);
}

function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}

function headerOf(request: IncomingMessage, name: string): string[] {
  const value = request.headersDistinct?.[name] ?? request.headers[name];
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}

function demand(authorizer: Authorizer, user: User, plural: string, namespace: string, name: string, group = '', subresource = ''): void {
  const decision = authorizer.authorize(user, { isResource: true, verb: 'impersonate', group, version: 'v1', namespace, plural, subresource, name, path: '' });
  if (decision.isAllowed) return;
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(namespace)}`;
  throw new GantryError('forbidden', `${plural} ${JSON.stringify(name)} is forbidden: User ${JSON.stringify(user.name)} cannot impersonate resource ${JSON.stringify(plural)} in API group ${JSON.stringify(group)} ${where}`, { details: { name, kind: plural } });
}
