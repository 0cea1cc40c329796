import type { AccessRequest, AccessRules, Authorizer, Decision } from './authorizer.ts';
import type { User } from './user.ts';

/** Allows what any of its members allows. */
export class UnionAuthorizer implements Authorizer {
  readonly #members: readonly Authorizer[];

  constructor(members: readonly Authorizer[]) {
    this.#members = members;
  }

  authorize(user: User, request: AccessRequest): Decision {
    const decisions = this.#members.map((member) => member.authorize(user, request));
    return decisions.find(({ isAllowed }) => isAllowed) ?? { isAllowed: false, reason: decisions.map(({ reason }) => reason).filter((reason) => reason !== '').join(', ') };
  }

  rulesOf(user: User, namespace: string): AccessRules {
    const all = this.#members.map((member) => member.rulesOf(user, namespace));
    return { resourceRules: all.flatMap(({ resourceRules }) => resourceRules), nonResourceRules: all.flatMap(({ nonResourceRules }) => nonResourceRules) };
  }
}
