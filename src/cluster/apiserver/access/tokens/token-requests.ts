import { isFields, type k8s, resources } from '../../../../api/mod.ts';
import { badRequest, methodNotAllowed, objectForbidden, objectInvalid, objectNotFound, updateConflict } from '../../errors.ts';
import type { Exchange } from '../../handlers/exchange.ts';
import { readRequiredValue } from '../../handlers/read-body.ts';
import { sendValue } from '../../handlers/representation.ts';
import type { VirtualResource } from '../../kinds/virtual.ts';
import { type Machine, timeText } from '../../operations/machine.ts';
import { nodeOf } from '../node-user.ts';
import { FieldErrors } from '../../validation/field-errors.ts';
import type { Authenticator } from '../user.ts';
import { type ServiceAccountTokens, type TokenBinding, tokenIssuer } from './service-account-tokens.ts';

const minSeconds = 600;
const maxSeconds = 2 ** 32;
const defaultSeconds = 3600;

/** Answers POST serviceaccounts/x/token: a token for the account, bound to a pod when asked so. */
export async function serveTokenRequest(machine: Machine, tokens: ServiceAccountTokens, exchange: Exchange): Promise<void> {
  const { info } = exchange;
  if (info.verb !== 'create') throw methodNotAllowed();
  const account = machine.objects.get(`/core/${resources.serviceAccounts.plural}/${info.namespace}/${info.name}`)?.object as k8s.ServiceAccount | undefined;
  if (account === undefined) throw objectNotFound(resources.serviceAccounts, info.name);
  const body = await readRequiredValue(exchange);
  if (!isFields(body)) throw badRequest('the body must be a TokenRequest');
  const spec = isFields(body['spec']) ? body['spec'] : {};
  const audiences = Array.isArray(spec['audiences']) ? spec['audiences'].map(String) : [];
  const expirationSeconds = spec['expirationSeconds'] ?? defaultSeconds;
  const errors = new FieldErrors();
  if (typeof expirationSeconds !== 'number' || !Number.isInteger(expirationSeconds)) throw badRequest('spec.expirationSeconds must be an integer');
  if (expirationSeconds < minSeconds) errors.invalid('spec.expirationSeconds', expirationSeconds, 'may not specify a duration less than 10 minutes');
  if (expirationSeconds > maxSeconds) errors.invalid('spec.expirationSeconds', expirationSeconds, 'may not specify a duration larger than 2^32 seconds');
  if (errors.places.length > 0) throw objectInvalid({ group: 'authentication.k8s.io', plural: 'tokenrequests', kind: 'TokenRequest' }, '', errors.places);
  demandPodOf(machine, exchange, spec['boundObjectRef']);
  const binding = parseBinding(machine, info.namespace, info.name, spec['boundObjectRef']);
  const { token, expiresAtMs } = tokens.issue({ namespace: info.namespace, account, audiences, expirationSeconds, binding });
  await sendValue(exchange, 201, {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { name: info.name, namespace: info.namespace, creationTimestamp: timeText(machine.clock.now()) },
    spec: { ...spec, audiences: audiences.length === 0 ? [tokenIssuer] : audiences, expirationSeconds },
    status: { token, expirationTimestamp: timeText(expiresAtMs) },
  });
}

/** A node's agent gets tokens only for pods that are on its node, and only ones that end with the pod. */
function demandPodOf(machine: Machine, { user, info }: Exchange, bound: unknown): void {
  const node = nodeOf(user);
  if (node === undefined) return;
  const refuse = (why: string): Error => objectForbidden(resources.serviceAccounts, info.name, why);
  if (!isFields(bound) || bound['kind'] !== 'Pod' || typeof bound['name'] !== 'string') throw refuse(`node requested token not bound to a pod`);
  const pod = machine.objects.get(`/core/pods/${info.namespace}/${bound['name']}`)?.object as k8s.Pod | undefined;
  if (pod !== undefined && pod.spec?.nodeName !== node) throw refuse('node requested token bound to a pod scheduled on a different node');
}

const bindable = { Pod: (namespace: string) => `/core/pods/${namespace}/`, Secret: (namespace: string) => `/core/secrets/${namespace}/`, Node: () => '/core/nodes/' } as const;

function parseBinding(machine: Machine, namespace: string, account: string, value: unknown): TokenBinding | undefined {
  if (!isFields(value)) return undefined;
  const { kind, name, uid } = value;
  if ((kind !== 'Pod' && kind !== 'Secret' && kind !== 'Node') || typeof name !== 'string') throw badRequest(`cannot bind token for serviceaccount ${JSON.stringify(account)} to object of kind ${JSON.stringify(kind)}`);
  const found = machine.objects.get(bindable[kind](namespace) + name)?.object;
  const subject = { group: '', plural: `${kind.toLowerCase()}s`, kind };
  if (found === undefined) throw objectNotFound(subject, name);
  const actual = found.metadata.uid;
  if (typeof uid === 'string' && uid !== '' && uid !== actual) throw updateConflict(subject, name, `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`);
  if (kind === 'Pod' && ((found as k8s.Pod).spec?.serviceAccountName ?? 'default') !== account) throw badRequest(`cannot bind token for serviceaccount ${JSON.stringify(account)} to pod running with different serviceaccount name.`);
  return { kind, name, uid: actual };
}

/** authentication.k8s.io TokenReview: tells a service of the cluster whose token it has been shown. */
export function tokenReviewResource(authenticators: readonly Authenticator[]): VirtualResource {
  return {
    ...{ group: 'authentication.k8s.io', version: 'v1', kind: 'TokenReview', plural: 'tokenreviews', singular: 'tokenreview', isNamespaced: false, verbs: ['create'] },
    serve: async (exchange) => {
      if (exchange.info.verb !== 'create') throw methodNotAllowed();
      const review = await readRequiredValue(exchange);
      if (!isFields(review) || !isFields(review['spec']) || typeof review['spec']['token'] !== 'string') throw badRequest('the body must be a TokenReview with spec.token');
      const audiences = Array.isArray(review['spec']['audiences']) ? review['spec']['audiences'].map(String) : [tokenIssuer];
      const { token: _, ...spec } = review['spec'];
      await sendValue(exchange, 201, { ...review, kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1', metadata: { creationTimestamp: null }, spec, status: reviewToken(authenticators, review['spec']['token'], audiences) });
    },
  };
}

function reviewToken(authenticators: readonly Authenticator[], token: string, audiences: readonly string[]): k8s.TokenReviewStatus {
  try {
    for (const authenticator of authenticators) {
      const found = authenticator.authenticateToken?.(token, audiences);
      if (found === undefined) continue;
      const { name, uid, groups } = found.user;
      return { authenticated: true, user: { username: name, uid, groups: [...groups] }, audiences: found.audiences };
    }
  } catch {
    // What was shown is wrong; why is nobody's business.
  }
  return { authenticated: false, error: 'invalid bearer token' };
}
