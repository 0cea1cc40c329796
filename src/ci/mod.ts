/**
 * ci: workflow files become runs, runs become jobs, jobs become pods.
 * Read workflow/model.ts first (what a workflow is once it is parsed), then plan/plan-run.ts (what happens next in a run) and
 * job/job-run.ts (how the steps of one job are carried out).
 */
export * from './ports.ts';
