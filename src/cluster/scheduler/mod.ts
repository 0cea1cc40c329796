/**
 * cluster/scheduler: gives pods a node.
 * Read choose-node.ts (the decision, pure), filters/ and scores.ts (its rules), then scheduler.ts (events in, bindings out).
 */
export { Scheduler, type SchedulerOptions } from './scheduler.ts';
