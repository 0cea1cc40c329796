import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, GantryError } from '../../kernel/mod.ts';

/** What a folder says of one registry's TLS: authorities to trust, and the pair this side shows. */
export interface HostCertificates {
  readonly authorities: readonly string[];
  readonly client?: { readonly certificate: string; readonly key: string };
  /** Changes with the content. */
  readonly hash: string;
}

/**
 * Reads `FOLDER/HOST[:PORT]/` as dockerd reads `/etc/docker/certs.d`: `*.crt` are authorities, `NAME.cert` with `NAME.key` is the client's pair.
 * Undefined when there is no such folder. `invalid` names a certificate without key, or a key without certificate.
 */
export async function readHostCertificates(folder: string, host: string): Promise<HostCertificates | undefined> {
  const place = join(folder, host.replaceAll('/', ''));
  const names = await readdir(place).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (names === undefined) return undefined;
  const text = (name: string): Promise<string> => readFile(join(place, name), 'utf8');
  const authorities = await Promise.all(names.filter((name) => name.endsWith('.crt')).toSorted().map(text));
  const pairs = new Set(names.flatMap((name) => /^(.*)\.(?:cert|key)$/.exec(name)?.[1] ?? []));
  for (const pair of pairs) {
    for (const end of ['cert', 'key']) {
      if (!names.includes(`${pair}.${end}`)) throw new GantryError('invalid', `${place}: ${pair}.${end} is missing; a client certificate (.cert) and its key (.key) belong together`);
    }
  }
  const [first, ...more] = [...pairs].toSorted();
  if (more.length > 0) throw new GantryError('unsupported', `${place} has ${more.length + 1} client certificates; one is supported`);
  const client = first === undefined ? undefined : { certificate: await text(`${first}.cert`), key: await text(`${first}.key`) };
  const hash = createHash('sha256').update(JSON.stringify([authorities, client])).digest('hex');
  return { authorities, hash, ...(client === undefined ? {} : { client }) };
}
