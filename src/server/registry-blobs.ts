import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, GantryError } from '../kernel/mod.ts';
import { type S3Credentials, S3BlobStore } from '../store/mod.ts';
import type { Settings } from './settings.ts';

/** The bucket that the settings name for the registry's blobs; undefined when they stay on disk. `not-found` or `invalid` for its credentials file. */
export async function openRegistryBucket({ registryBucket }: Settings, folder: string, signal: AbortSignal): Promise<S3BlobStore | undefined> {
  if (registryBucket === undefined) return undefined;
  const { endpoint, region, bucket, prefix = '', credentialsFile } = registryBucket;
  return S3BlobStore.open({ endpoint, region, bucket, prefix, credentials: await readCredentials(credentialsFile), stagingFolder: join(folder, 'staging') }, signal);
}

async function readCredentials(file: string): Promise<S3Credentials> {
  try {
    return parseCredentials(await readFile(file, 'utf8'), file);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new GantryError('not-found', `registryBucket.credentialsFile: there is no file ${file}`, { cause: error });
    throw error;
  }
}

/** The profile `default` of an AWS shared credentials file. `invalid` without a key; no value shows in an error. */
export function parseCredentials(text: string, file: string): S3Credentials {
  const values = new Map<string, string>();
  let profile = '';
  for (const line of text.split(/\r?\n/)) {
    const [, name] = /^\s*\[\s*(.+?)\s*\]\s*$/.exec(line) ?? [];
    const [, key, value] = /^\s*([a-z_]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (name !== undefined) profile = name;
    else if (key !== undefined && value !== undefined && profile === 'default') values.set(key, value);
  }
  const accessKeyId = values.get('aws_access_key_id');
  const secretAccessKey = values.get('aws_secret_access_key');
  if (accessKeyId === undefined || secretAccessKey === undefined) throw new GantryError('invalid', `${file}: the profile [default] needs aws_access_key_id and aws_secret_access_key`);
  const sessionToken = values.get('aws_session_token');
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}
