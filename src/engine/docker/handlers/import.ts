import { Readable } from 'node:stream';
import { formatImageReference, parseImageReference } from '../../../api/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import { decompressed, sniffed } from '../../images/compression.ts';
import { hostPlatform, parsePlatform } from '../../images/platform.ts';
import { type Call, type DockerServices, openJsonStream } from '../call.ts';
import { changedConfig, splitChanges } from '../config-changes.ts';

export interface ImportQuery { fromSrc: string | undefined; repo: string | undefined; tag: string | undefined; platform: string | undefined; message: string | undefined; changes: string[] }

/** `docker import`: an image of one layer, of a root file system in a tar. Compressed ones are unpacked first. */
export async function importImage(call: Call, services: DockerServices, query: ImportQuery): Promise<void> {
  if (query.fromSrc !== '-') throw new GantryError('unsupported', `fromSrc: only what is sent with the request can be imported (-), not ${JSON.stringify(query.fromSrc)}`);
  const { images, engine } = services;
  const platform = query.platform === undefined ? hostPlatform() : parsePlatform(query.platform);
  const references = query.repo === undefined ? [] : [formatImageReference(parseImageReference(query.tag === undefined ? query.repo : `${query.repo}:${query.tag}`))];
  const changes = splitChanges(query.changes);
  const { diffId } = await images.importLayer(Readable.from(decompressed(...(await sniffed(call.body as AsyncIterable<Uint8Array>)))), call.signal);
  using _ = images.holdLayers([diffId]);
  const created = new Date().toISOString();
  const config = await changedConfig(services, { ...platform, created, config: {}, rootfs: { type: 'layers', diff_ids: [diffId] }, history: [{ created, comment: query.message ?? 'Imported from -' }] }, changes, call.signal);
  const id = await images.createImage(config, references, call.signal);
  engine.events.publish({ type: 'image', action: 'import', id, attributes: { name: id } });
  const output = openJsonStream(call);
  output.write({ status: id });
  output.end();
}
