import type { Credentials, RegistryClient, RegistryLogin } from '../../engine/mod.ts';
import { DockerConfigCredentials, type NeighbourRegistry, openRegistryClient, type RegistryClientOptions } from '../../registry/mod.ts';
import { blobFile, handOver } from '../../store/mod.ts';
import type { Settings } from '../settings.ts';

/** Where dockerd looks for certificates of registries. */
const certificatesFolder = '/etc/docker/certs.d';

/** The engine's registry client: the registry layer's, whose methods have the port's shapes. Disposing closes its connections. */
export function openEngineRegistryClient(options: RegistryClientOptions): RegistryClient & RegistryLogin & AsyncDisposable {
  return openRegistryClient(options);
}

/** The instance's own registry as image references name it. */
function ownRegistryHost(port: number): string {
  return `127.0.0.1:${port}`;
}

/** The credentials for references to the instance's own registry. */
export function ownRegistryCredentials(port: number, credentials: Credentials): (reference: string) => Credentials | undefined {
  return (reference) => (reference.startsWith(`${ownRegistryHost(port)}/`) ? credentials : undefined);
}

export interface OwnRegistry {
  readonly port: number;
  readonly credentials: Credentials;
  /** Where the registry and this node's image store keep their blobs. */
  readonly folders: { readonly registry: string; readonly images: string };
}

/** Blobs go between the instance's registry and this node's image store by a second name, when both are on one file system. */
function neighbourOf({ registryBucket }: Settings, { port, folders }: OwnRegistry): NeighbourRegistry | undefined {
  if (registryBucket !== undefined) return undefined;
  return {
    host: ownRegistryHost(port),
    offer: (digest, uploadId) => handOver(folders.registry, uploadId, blobFile(folders.images, digest)),
    fileOf: (digest) => blobFile(folders.registry, digest),
  };
}

/** What the settings say of registries; `own` are the credentials of this node for the instance's own. */
export function registryClientOptions(settings: Settings, certificateAuthorities: string | undefined, own?: OwnRegistry): RegistryClientOptions {
  const { registryMirrors, insecureRegistries, registryAuthFile, registryCertificates, httpProxy, httpsProxy, noProxy } = settings;
  const stored = registryAuthFile === undefined ? undefined : new DockerConfigCredentials(registryAuthFile);
  const neighbour = own === undefined ? undefined : neighbourOf(settings, own);
  return {
    ...(neighbour === undefined ? {} : { neighbour }),
    mirrors: registryMirrors, insecure: insecureRegistries, certificateAuthorities, certificatesFolder: registryCertificates ?? certificatesFolder,
    proxy: { http: httpProxy, https: httpsProxy, noProxy },
    credentials: async (host, signal) => (own !== undefined && host === ownRegistryHost(own.port) ? own.credentials : stored?.find(host, signal)),
  };
}
