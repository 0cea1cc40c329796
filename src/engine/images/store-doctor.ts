import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../kernel/mod.ts';
import type { EngineFinding } from '../engine.ts';

/**
 * Examines the layers of a store that nobody has open: snapshots without a record, which a crash left, and records without a snapshot, which
 * make an image unusable until it is pulled again. A store that opens removes the former by itself.
 */
export async function examineClosedStore(folder: string, isRepaired: boolean): Promise<EngineFinding[]> {
  const [snapshots, records, temporary] = await Promise.all(['snapshots', 'layers', 'temporary'].map((name) => names(join(folder, name))));
  const layerOf = (record: string): string => record.replace(/\.json$/, '');
  const known = new Set((records ?? []).filter((name) => name.endsWith('.json')).map(layerOf));
  const orphans = [...(snapshots ?? []).filter((name) => !known.has(name)).map((name) => join(folder, 'snapshots', name)), ...(temporary ?? []).map((name) => join(folder, 'temporary', name))];
  const broken = [...known].filter((name) => !(snapshots ?? []).includes(name)).map((name) => join(folder, 'layers', `${name}.json`));
  if (isRepaired) for (const path of [...orphans, ...broken]) await rm(path, { recursive: true, force: true });
  return [
    ...orphans.map((name) => ({ kind: 'snapshot', name, problem: 'belongs to no layer', isRepaired })),
    ...broken.map((name) => ({ kind: 'snapshot', name, problem: 'the layer has no snapshot: images with it must be pulled again', isRepaired })),
  ];
}

async function names(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
}
