import { isFields } from '../../../api/mod.ts';
import type { Authorizer } from '../access/authorizer.ts';
import type { User } from '../access/user.ts';
import { badRequest, methodNotAllowed } from '../errors.ts';
import type { Exchange } from '../handlers/exchange.ts';
import { readRequiredValue } from '../handlers/read-body.ts';
import { sendValue } from '../handlers/representation.ts';
import type { VirtualResource } from '../kinds/virtual.ts';

type Fields = Record<string, unknown>;

/** Questions about access: `kubectl auth can-i` and `kubectl auth whoami`. They are answered and not stored. */
export function reviewResources(authorizer: Authorizer): VirtualResource[] {
  const authorization = { group: 'authorization.k8s.io', version: 'v1', verbs: ['create'] } as const;
  const authentication = { group: 'authentication.k8s.io', version: 'v1', verbs: ['create'] } as const;
  const name = (kind: string, isNamespaced = false): Pick<VirtualResource, 'kind' | 'plural' | 'singular' | 'isNamespaced'> => ({ kind, plural: `${kind.toLowerCase()}s`, singular: kind.toLowerCase(), isNamespaced });
  return [
    { ...authorization, ...name('SelfSubjectAccessReview'), serve: (exchange) => serveAccessReview(authorizer, exchange, 'SelfSubjectAccessReview', () => exchange.user) },
    { ...authorization, ...name('SubjectAccessReview'), serve: (exchange) => serveAccessReview(authorizer, exchange, 'SubjectAccessReview', subjectOf) },
    { ...authorization, ...name('LocalSubjectAccessReview', true), serve: (exchange) => serveAccessReview(authorizer, exchange, 'LocalSubjectAccessReview', subjectOf) },
    { ...authorization, ...name('SelfSubjectRulesReview'), serve: (exchange) => serveRulesReview(authorizer, exchange) },
    { ...authentication, ...name('SelfSubjectReview'), serve: serveSelf },
  ];
}

async function readReview(exchange: Exchange, kind: string): Promise<Fields & { kind: string; apiVersion: string; spec: Fields }> {
  if (exchange.info.verb !== 'create') throw methodNotAllowed();
  const body = await readRequiredValue(exchange);
  if (!isFields(body)) throw badRequest('the body must be a review');
  return { ...body, kind, apiVersion: 'authorization.k8s.io/v1', spec: isFields(body['spec']) ? body['spec'] : {} };
}

async function serveAccessReview(authorizer: Authorizer, exchange: Exchange, kind: string, userOf: (spec: Fields) => User): Promise<void> {
  const review = await readReview(exchange, kind);
  const { spec } = review;
  const { namespace } = exchange.info;
  if (namespace !== '' && isFields(spec['resourceAttributes']) && text(spec['resourceAttributes']['namespace']) !== namespace) {
    throw badRequest('spec.resourceAttributes.namespace must match metadata.namespace');
  }
  const decision = authorizer.authorize(userOf(spec), accessOf(spec));
  const status = { allowed: decision.isAllowed, ...(decision.reason === '' ? {} : { reason: decision.reason }) };
  await sendValue(exchange, 201, { ...review, metadata: { creationTimestamp: null }, status });
}

function subjectOf(spec: Fields): User {
  const groups = Array.isArray(spec['groups']) ? spec['groups'].map(String) : [];
  const user = text(spec['user']);
  if (user === '' && groups.length === 0) throw badRequest('spec: at least one of user or group must be specified');
  return { name: user, uid: text(spec['uid']), groups };
}

function accessOf(spec: Fields): Parameters<Authorizer['authorize']>[1] {
  const resource = isFields(spec['resourceAttributes']) ? spec['resourceAttributes'] : undefined;
  const other = isFields(spec['nonResourceAttributes']) ? spec['nonResourceAttributes'] : undefined;
  if ((resource === undefined) === (other === undefined)) throw badRequest('spec: exactly one of nonResourceAttributes or resourceAttributes must be specified');
  const from = resource ?? {};
  return {
    isResource: resource !== undefined,
    verb: text((resource ?? other)?.['verb']),
    group: text(from['group']),
    version: text(from['version']),
    namespace: text(from['namespace']),
    plural: text(from['resource']),
    subresource: text(from['subresource']),
    name: text(from['name']),
    path: text(other?.['path']),
  };
}

async function serveRulesReview(authorizer: Authorizer, exchange: Exchange): Promise<void> {
  const review = await readReview(exchange, 'SelfSubjectRulesReview');
  const rules = authorizer.rulesOf(exchange.user, text(review.spec['namespace']));
  await sendValue(exchange, 201, { ...review, metadata: { creationTimestamp: null }, status: { incomplete: false, ...rules } });
}

async function serveSelf(exchange: Exchange): Promise<void> {
  const { info, user } = exchange;
  if (info.verb !== 'create') throw methodNotAllowed();
  const userInfo = { username: user.name, ...(user.uid === '' ? {} : { uid: user.uid }), groups: user.groups, ...(user.extra === undefined ? {} : { extra: user.extra }) };
  await sendValue(exchange, 201, { kind: 'SelfSubjectReview', apiVersion: 'authentication.k8s.io/v1', metadata: { creationTimestamp: null }, status: { userInfo } });
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
