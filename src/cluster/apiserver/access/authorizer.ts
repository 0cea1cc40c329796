import type { RequestInfo } from '../requests/request-info.ts';
import { systemMasters, type User } from './user.ts';

/** An answer with the reason it was given, for the audit and for `kubectl auth can-i`. */
export interface Decision { readonly isAllowed: boolean; readonly reason: string }

/** What is asked for: the parts of a request that access depends on. */
export type AccessRequest = Pick<RequestInfo, 'isResource' | 'verb' | 'group' | 'version' | 'namespace' | 'plural' | 'subresource' | 'name' | 'path'>;

/** Decides who may do what. */
export interface Authorizer {
  authorize(user: User, request: AccessRequest): Decision;
  /** All that a user may do in a namespace, for `kubectl auth can-i --list`. */
  rulesOf(user: User, namespace: string): AccessRules;
}

/** The rules of authorization.k8s.io's SubjectRulesReviewStatus. */
export interface AccessRules {
  readonly resourceRules: readonly { verbs: readonly string[]; apiGroups: readonly string[]; resources: readonly string[]; resourceNames?: readonly string[] }[];
  readonly nonResourceRules: readonly { verbs: readonly string[]; nonResourceURLs: readonly string[] }[];
}

/** Paths that everybody may read, even without saying who they are. */
const publicPaths = new Set(['/livez', '/readyz', '/healthz', '/version']);

/** Whether a request needs no user at all. */
export function isPublic({ isResource, verb, path }: AccessRequest): boolean {
  return !isResource && (verb === 'get' || verb === 'head') && (publicPaths.has(path) || path.startsWith('/livez/') || path.startsWith('/readyz/'));
}

/** Members of these groups may do everything. */
export class GroupAuthorizer implements Authorizer {
  readonly #groups: ReadonlySet<string>;

  constructor(groups: readonly string[] = [systemMasters]) {
    this.#groups = new Set(groups);
  }

  authorize(user: User): Decision {
    const group = user.groups.find((name) => this.#groups.has(name));
    return group === undefined ? { isAllowed: false, reason: '' } : { isAllowed: true, reason: `member of ${group}` };
  }

  rulesOf(user: User): AccessRules {
    if (!this.authorize(user).isAllowed) return { resourceRules: [], nonResourceRules: [] };
    return { resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }], nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }] };
  }
}
