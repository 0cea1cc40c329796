/**
 * cluster/node: the node agent. Pods bound to this node become containers of the engine, and their state is reported.
 * Read pod-view.ts (what is observed, what can be done), pod-plan.ts and pod-status.ts (pure), then pod-worker.ts and agent.ts.
 */
export { NodeAgent, type NodeAgentOptions, type NodeAgentParts } from './agent.ts';
export type { ExtraRoute, ListenerTls } from './listener/node-listener.ts';
export type * from './ports.ts';
export { defaultShutdownGrace, type ShutdownGrace } from './node-shutdown.ts';
export { listenerHostAnnotation } from './node-status.ts';
export { type DnsSettings, workloadLabel } from './sandbox-spec.ts';
