/**
 * cluster/dns: names of services and pods (Kubernetes DNS-Based Service Discovery 1.1), everything else forwarded.
 * Read records.ts (pure: a question and the cluster's services become an answer), then dns-server.ts.
 */
export * from './config.ts';
export { DnsServer, type DnsServerOptions } from './dns-server.ts';
export { parseResolvConf } from './resolv-conf.ts';
