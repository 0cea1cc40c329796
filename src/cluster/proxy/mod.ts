/**
 * cluster/proxy: Services and endpoint slices become packet rules of this node, one nftables table for each instance.
 * Read service-plan.ts (which service port goes to which endpoints), ruleset.ts (that plan as a script), service-proxy.ts.
 */
export { ServiceProxy, type ServiceProxyOptions } from './service-proxy.ts';
export { planServices, type ServicePlan } from './service-plan.ts';
export { renderRuleset } from './ruleset.ts';
