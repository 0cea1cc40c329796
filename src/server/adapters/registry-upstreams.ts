import { type RegistryUpstream, resources, type Stored } from '../../api/mod.ts';
import type { Informers, KubeClient } from '../../client/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import { ClientUpstreams, type RegistryCredentials, type RegistryHttpClient, type UpstreamConfig } from '../../registry/mod.ts';

const defaultFreshSeconds = 60;

/** The registries that RegistryUpstream resources name, asked through a registry client; secrets are read when they are needed. */
export function registryUpstreamsOf(informers: Informers, client: KubeClient, registries: RegistryHttpClient): ClientUpstreams {
  const upstreams = informers.of(resources.registryUpstreams);
  return new ClientUpstreams(registries, () => upstreams.list().flatMap((upstream) => configOf(upstream, client)));
}

function configOf({ spec }: Stored<RegistryUpstream>, client: KubeClient): UpstreamConfig[] {
  if (spec === undefined) return [];
  const { prefix, host, freshSeconds = defaultFreshSeconds, credentials: secret } = spec;
  const credentials = secret === undefined ? {} : { credentials: (signal: AbortSignal) => credentialsIn(client, secret, signal) };
  return [{ prefix, host, freshMs: freshSeconds * 1000, ...credentials }];
}

async function credentialsIn(client: KubeClient, { namespace, name }: { namespace: string; name: string }, signal: AbortSignal): Promise<RegistryCredentials> {
  const { data = {} } = await client.get(resources.secrets, { namespace, name }, signal);
  const [username, password] = ['username', 'password'].map((key) => (data[key] === undefined ? undefined : Buffer.from(data[key], 'base64').toString()));
  if (username === undefined || password === undefined) throw new GantryError('precondition-failed', `the secret ${namespace}/${name} has no username and password`);
  return { username, password };
}
