import { type Builder, classicView } from '../../builder/mod.ts';
import type { BuildCacheEntry, ImageBuilder } from '../../engine/mod.ts';

/** Lets the Docker API's `POST /build` use the builder. */
export function imageBuilderOf(builder: Builder): ImageBuilder {
  return {
    cache: {
      list: async () => [...builder.cacheRecords.map(stepEntry), ...(await builder.cacheMounts.list()).map(mountEntry)],
      prune: () => builder.prune(),
    },
    build: (request, output, signal) => builder.build(request, (plan) => classicView(plan.stages.map(({ index }) => index), output), signal),
  };
}

function stepEntry({ id, record: { layer, sizeBytes, createdAt }, usedAtMs }: Builder['cacheRecords'][number]): BuildCacheEntry {
  const description = layer === undefined ? 'a step that changed no file' : `the layer ${layer}`;
  return { id, type: 'regular', description, sizeBytes, isInUse: false, createdAt, usedAt: new Date(usedAtMs).toISOString(), ...(layer === undefined ? {} : { layer }) };
}

function mountEntry({ id, scope, sizeBytes, usedAt, isInUse }: Awaited<ReturnType<Builder['cacheMounts']['list']>>[number]): BuildCacheEntry {
  return { id: scope === '' ? id : `${scope}/${id}`, type: 'exec.cachemount', description: `cached mount ${id}`, sizeBytes, isInUse, usedAt };
}
