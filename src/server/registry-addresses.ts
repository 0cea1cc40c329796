import { readFile } from 'node:fs/promises';
import type { RegistryAddress } from '../registry/mod.ts';
import type { Settings } from './settings.ts';

/** Where the registry listens: by HTTP on loopback, and by TLS where the settings say. */
export async function registryAddresses({ registryListen }: Settings, port: number): Promise<RegistryAddress[]> {
  const own: RegistryAddress = { host: '127.0.0.1', port };
  if (registryListen === undefined) return [own];
  const [cert, key] = await Promise.all([readFile(registryListen.cert, 'utf8'), readFile(registryListen.key, 'utf8')]);
  const { hostname, port: tlsPort } = new URL(`https://${registryListen.address}`);
  return [own, { host: hostname.replace(/^\[|\]$/g, ''), port: Number(tlsPort === '' ? 443 : tlsPort), tls: { cert, key } }];
}
