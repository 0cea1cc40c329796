/**
 * api: the resources and formats that Gantry speaks, as types, tables and pure functions.
 * Read object.ts and resources.ts first; Kubernetes' own kinds are generated (kubernetes/types.gen.ts), ours are in gantry/types.ts.
 */
export type * from './gantry/types.ts';
export { gantryApiVersion } from './gantry/types.ts';
export { gantryDefinitions } from './gantry/crds.ts';
export * from './build/image-format.ts';
export type * from './build/reply.ts';
export { proxyController } from './gateway/controller.ts';
export { gatewayDefinitions } from './gateway/crds.ts';
export type * as gatewayApi from './gateway/types.ts';
export type * as k8s from './kubernetes/types.gen.ts';
export * from './object.ts';
export * from './node-matching.ts';
export * from './oci/reference.ts';
export * from './oci/schema.ts';
export * from './oci/types.ts';
export * from './quantity.ts';
export * from './resources.ts';
export * from './patch/json-patch.ts';
export * from './patch/merge-patch.ts';
export * from './patch/strategic-merge.ts';
export * from './schema/builtin.ts';
export * from './schema/decode.ts';
export * from './schema/node.ts';
export * from './selectors.ts';
export * from './cron-schedule.ts';
export * from './indexes.ts';
export * from './ingress-annotations.ts';
export * from './json-path.ts';
export * from './schema/defaults.ts';
export * from './schema/structural.ts';
export * from './apply/field-paths.ts';
export * from './apply/merge-applied.ts';
