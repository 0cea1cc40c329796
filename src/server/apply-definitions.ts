import { isDeepStrictEqual } from 'node:util';
import { type k8s, resources } from '../api/mod.ts';
import type { KubeClient } from '../client/mod.ts';
import { isError, pollUntil } from '../kernel/mod.ts';

/** Brings the definitions of our own kinds to what this version has, and waits until they are served. */
export async function applyDefinitions(client: KubeClient, definitions: readonly k8s.CustomResourceDefinition[], signal: AbortSignal): Promise<void> {
  const type = resources.customResourceDefinitions;
  for (const definition of definitions) {
    try {
      await client.create(type, definition, signal);
    } catch (error) {
      if (!isError(error, 'already-exists')) throw error;
      const current = await client.get(type, { name: definition.metadata?.name ?? '' }, signal);
      const spec = { ...current.spec, ...definition.spec };
      if (!isDeepStrictEqual(spec, current.spec)) await client.update(type, { ...current, spec }, signal);
    }
  }
  const stored = Map.groupBy(definitions, ({ spec }) => `${spec.group}/${spec.versions.find(({ storage }) => storage)?.name ?? 'v1'}`);
  for (const [version, own] of stored) {
    const plurals = new Set(own.map(({ spec }) => spec.names.plural));
    await pollUntil(`the kinds of ${version} to be served`, async () => ((await servedPlurals(client, version, signal)).isSupersetOf(plurals) ? true : undefined), { timeoutMs: 10_000, intervalMs: 10 }, signal);
  }
}

async function servedPlurals(client: KubeClient, version: string, signal: AbortSignal): Promise<Set<string>> {
  try {
    const answer = (await client.request('GET', `/apis/${version}`, undefined, signal)) as { resources?: { name: string }[] };
    return new Set(answer.resources?.map(({ name }) => name));
  } catch (error) {
    if (isError(error, 'not-found')) return new Set();
    throw error;
  }
}
