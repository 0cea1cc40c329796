/**
 * git: hosting of bare repositories over smart HTTP, with branches that move only when a gate says so.
 * Read ports.ts first (what hosting asks of the others), then push/judge.ts (the rules), push/receiver.ts (what happens to a push)
 * and hook/proc-receive.ts (how git is made to ask).
 */
export { BareRepository, type CommitInfo, type RefChange } from './bare-repository.ts';
export { GitHosting, type GitHostingOptions } from './git-hosting.ts';
export { checkRepositoryName, isRepositoryName, type RepositoryName } from './names.ts';
export * from './ports.ts';
export { policyOf, standardDefaultBranch } from './repository-controller.ts';
export type { BranchPolicy } from './push/judge.ts';
export { RepositoryRoot } from './repository-root.ts';
