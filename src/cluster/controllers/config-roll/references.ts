import type { k8s } from '../../../api/mod.ts';

/** Names of the ConfigMaps and Secrets that a pod spec takes values or files from. Pull secrets are not configuration. */
export function configReferences(spec: k8s.PodSpec | undefined): { configMaps: string[]; secrets: string[] } {
  const configMaps = new Set<string | undefined>();
  const secrets = new Set<string | undefined>();
  for (const { configMap, secret, projected } of spec?.volumes ?? []) {
    configMaps.add(configMap?.name);
    secrets.add(secret?.secretName);
    for (const source of projected?.sources ?? []) {
      configMaps.add(source.configMap?.name);
      secrets.add(source.secret?.name);
    }
  }
  for (const { env, envFrom } of [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])]) {
    for (const { valueFrom } of env ?? []) {
      configMaps.add(valueFrom?.configMapKeyRef?.name);
      secrets.add(valueFrom?.secretKeyRef?.name);
    }
    for (const { configMapRef, secretRef } of envFrom ?? []) {
      configMaps.add(configMapRef?.name);
      secrets.add(secretRef?.name);
    }
  }
  const named = (set: Set<string | undefined>): string[] => [...set].filter((name) => name !== undefined).filter((name) => name !== '').toSorted((a, b) => (a < b ? -1 : 1));
  return { configMaps: named(configMaps), secrets: named(secrets) };
}
