import { after, before, test } from 'node:test';
import { openTestRegistry, type TestRegistry } from '../../../src/registry/testing/test-registry.ts';
import { RepositoryRequests } from './requests.ts';

/** One rule of the OCI distribution specification 1.1. */
export interface Rule {
  /** The heading of spec.md that states it, or the id of an end point or error code. */
  readonly section: string;
  readonly what: string;
  /** `repository` is empty and of this rule alone; `other` is a second one. */
  readonly check: (repository: RepositoryRequests, other: RepositoryRequests) => Promise<void>;
}

/** Runs each rule as one test against one registry. */
export function testRules(rules: readonly Rule[]): void {
  let registry: TestRegistry;
  before(async () => {
    registry = await openTestRegistry();
  });
  after(() => registry[Symbol.asyncDispose]());
  for (const [index, { section, what, check }] of rules.entries()) {
    test(`${section}: ${what}`, () => check(new RepositoryRequests(registry.url, `rules/r${index}`), new RepositoryRequests(registry.url, `others/r${index}`)));
  }
}
