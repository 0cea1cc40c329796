import type { ObjectMeta } from './kubernetes/types.gen.ts';

/** Prefixes under which controllers of Ingresses are set up: nginx, HAProxy, Traefik, Kong and whoever uses the common domain. */
const controllers = /^([a-z0-9.-]+\.)?(ingress\.kubernetes\.io|nginx\.org|nginx\.com|haproxy\.org|haproxy-ingress\.github\.io|traefik\.io|konghq\.com)\//;

/** Annotations of an Ingress that ask a controller for something. Ours reads none of them: what it can do stands in the fields. */
export function controllerAnnotations(metadata: ObjectMeta | undefined): string[] {
  return Object.keys(metadata?.annotations ?? {}).filter((key) => controllers.test(key)).toSorted();
}
