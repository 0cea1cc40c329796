/**
 * ci: workflow files become runs, runs become jobs, jobs become pods.
 * Read workflow/model.ts first (what a workflow is once it is parsed), then plan/plan-run.ts (what happens next in a run),
 * job/job-run.ts (how the steps of one job are carried out) and push/push-pipeline.ts (what a push waits for).
 */
export { Ci, type CiOptions } from './ci.ts';
export * from './ports.ts';
export { type PipelineVerdict, type PushedCommit, PushPipeline } from './push/push-pipeline.ts';
export type { RunLogSelection } from './run/read-run-logs.ts';
