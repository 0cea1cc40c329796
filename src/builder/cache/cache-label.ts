import { deflateSync, inflateSync } from 'node:zlib';
import { z } from 'zod';
import { type ImageConfig, parseDigest } from '../../api/mod.ts';
import type { StepRecord } from './step-cache.ts';

/** The label of an image that carries results of build steps: an image that was built with them (inline), or one made only to keep them. */
export const cacheLabel = 'dev.gantry.buildcache.v1';

const labelSchema = z.array(z.strictObject({ key: z.string().regex(/^[0-9a-f]{64}$/), layer: z.string().optional(), sizeBytes: z.number(), createdAt: z.string(), durationMs: z.number() })).max(100_000);

/** Of a label, inflated. */
const maxLabelBytes = 64 << 20;

/** The records as a label's value. */
export function toCacheLabel(records: ReadonlyMap<string, StepRecord>): string {
  const list = [...records].map(([key, { layer, ...rest }]) => ({ key, ...(layer === undefined ? {} : { layer }), ...rest }));
  return deflateSync(JSON.stringify(list)).toString('base64');
}

/** The records an image carries whose layers it has; none when the label is missing or broken. */
export function fromCacheLabel(config: ImageConfig): Map<string, StepRecord> {
  const text = config.config?.Labels?.[cacheLabel];
  const layers = new Set<string>(config.rootfs.diff_ids);
  const records = new Map<string, StepRecord>();
  if (text === undefined) return records;
  try {
    for (const { key, layer, ...rest } of labelSchema.parse(JSON.parse(inflateSync(Buffer.from(text, 'base64'), { maxOutputLength: maxLabelBytes }).toString()))) {
      if (layer === undefined || layers.has(layer)) records.set(key, { ...rest, layer: layer === undefined ? undefined : parseDigest(layer) });
    }
  } catch {
    return new Map();
  }
  return records;
}

/** An image that only keeps results: all their layers, in no order that means anything. */
export function cacheImage(records: ReadonlyMap<string, StepRecord>, platform: { os: string; architecture: string }): ImageConfig {
  const layers = [...new Set([...records.values()].flatMap(({ layer }) => layer ?? []))];
  return { created: new Date(0).toISOString(), ...platform, config: { Labels: { [cacheLabel]: toCacheLabel(records) } }, rootfs: { type: 'layers', diff_ids: layers }, history: layers.map(() => ({ created_by: 'build cache' })) };
}
