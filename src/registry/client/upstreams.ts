import { type Descriptor, type Digest, type ImageReference, mediaTypes } from '../../api/mod.ts';
import type { RegistryCredentials, Upstream, Upstreams } from '../ports.ts';
import type { RegistryHttpClient } from './client.ts';

/** One registry that is kept copies of: `<prefix>/<name>` here is `<name>` there. */
export interface UpstreamConfig {
  readonly prefix: string;
  readonly host: string;
  readonly freshMs: number;
  readonly credentials?: (signal: AbortSignal) => Promise<RegistryCredentials | undefined>;
}

/** Upstreams that are asked through a registry client. `configs` is asked each time, so that changes count at once. */
export class ClientUpstreams implements Upstreams {
  readonly #client: RegistryHttpClient;
  readonly #configs: () => readonly UpstreamConfig[];

  constructor(client: RegistryHttpClient, configs: () => readonly UpstreamConfig[]) {
    this.#client = client;
    this.#configs = configs;
  }

  find(repository: string): Upstream | undefined {
    const config = this.#configs().find(({ prefix }) => repository.startsWith(`${prefix}/`));
    return config === undefined ? undefined : this.#upstream(config, nameAt(config, repository.slice(config.prefix.length + 1)));
  }

  repositoryOf(host: string, name: string): string | undefined {
    const config = this.#configs().find((candidate) => candidate.host === host || candidate.prefix === host);
    return config === undefined ? undefined : `${config.prefix}/${name}`;
  }

  #upstream({ host, freshMs, credentials }: UpstreamConfig, repository: string): Upstream {
    const client = this.#client;
    const at = (place: { tag: string } | { digest: string }): ImageReference => ({ host, repository, ...('tag' in place ? place : { digest: place.digest as Digest }) });
    const asking = async (signal: AbortSignal): Promise<RegistryCredentials | undefined> => credentials?.(signal);
    return {
      name: `${host}/${repository}`,
      host,
      freshMs,
      findDigest: async (tag, signal) => client.findDigest(at({ tag }), await asking(signal), signal),
      fetchManifest: async (reference, signal) => client.fetchManifest(at(reference), await asking(signal), signal),
      fetchBlob: async ({ digest, size }, signal) => {
        const descriptor: Descriptor = { mediaType: mediaTypes.ociLayer, digest: digest as Digest, size };
        return client.fetchBlob({ host, repository }, descriptor, 0, await asking(signal), signal);
      },
    };
  }
}

/** The hub's official images have a first part that people leave out. */
function nameAt({ host }: UpstreamConfig, name: string): string {
  return ['docker.io', 'index.docker.io', 'registry-1.docker.io'].includes(host) && !name.includes('/') ? `library/${name}` : name;
}
