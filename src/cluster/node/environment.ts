import type { k8s } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import { type ConfigSource, readEntries } from './config-source.ts';
import { fieldText, type PodFacts, resourceText } from './downward.ts';
import { expand } from './expansion.ts';
import { serviceEnvironment } from './service-environment.ts';

/**
 * The container's variables, in order: Services, envFrom, env; a later one replaces an earlier one.
 * `not-found` names a missing ConfigMap, Secret or key that is not optional.
 */
export async function resolveEnvironment(source: ConfigSource, facts: PodFacts, container: k8s.Container, signal: AbortSignal): Promise<Map<string, string>> {
  const namespace = facts.pod.metadata?.namespace ?? 'default';
  const values = serviceVariables(source, namespace, facts.pod.spec?.enableServiceLinks !== false);
  for (const from of container.envFrom ?? []) {
    for (const [kind, ref] of [['ConfigMap', from.configMapRef], ['Secret', from.secretRef]] as const) {
      if (ref === undefined) continue;
      const entries = await readEntries(source, kind, namespace, ref, signal);
      for (const [key, value] of entries ?? []) values.set((from.prefix ?? '') + key, value.toString());
    }
  }
  for (const variable of container.env ?? []) {
    const value = await variableValue(source, facts, namespace, container, variable, values, signal);
    if (value !== undefined) values.set(variable.name, value);
  }
  return values;
}

/** Those of the API's own Service are there even without service links. */
function serviceVariables(source: ConfigSource, namespace: string, hasLinks: boolean): Map<string, string> {
  const api = source.services('default').filter(({ metadata }) => metadata?.name === 'kubernetes');
  return serviceEnvironment([...api, ...(hasLinks ? source.services(namespace) : [])]);
}

async function variableValue(
  source: ConfigSource,
  facts: PodFacts,
  namespace: string,
  container: k8s.Container,
  variable: k8s.EnvVar,
  known: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const from = variable.valueFrom;
  if (from === undefined) return expand(variable.value ?? '', known);
  if (from.fieldRef !== undefined) return fieldText(facts, from.fieldRef.fieldPath);
  if (from.resourceFieldRef !== undefined) return resourceText(facts.pod, from.resourceFieldRef, container.name, source.allocatable);
  for (const [kind, ref] of [['ConfigMap', from.configMapKeyRef], ['Secret', from.secretKeyRef]] as const) {
    if (ref === undefined) continue;
    const value = (await readEntries(source, kind, namespace, ref, signal))?.get(ref.key);
    if (value === undefined && ref.optional !== true) {
      throw new GantryError('not-found', `couldn't find key ${ref.key} in ${kind} ${namespace}/${ref.name ?? ''}`);
    }
    return value?.toString();
  }
  throw new GantryError('unsupported', `the source of variable ${variable.name} is not supported`);
}
