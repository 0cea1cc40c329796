/**
 * delivery: from a green commit to a live release, and back when it is bad. It knows only the Kubernetes API and what ports.ts asks for.
 * Read release/plan.ts (every decision, as a pure function), then release/reconciler.ts and release/deploy.ts.
 */
export { type Delivery, type DeliveryOptions, openDelivery } from './delivery.ts';
export * from './ports.ts';
export type { DeliveredPush } from './release/follow.ts';
export { planManualRollback } from './release/rollback.ts';
