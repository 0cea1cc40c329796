import type { RegistryClient } from '../../engine/mod.ts';
import { DockerConfigCredentials, openRegistryClient, type RegistryClientOptions } from '../../registry/mod.ts';
import type { Settings } from '../settings.ts';

/** Where dockerd looks for certificates of registries. */
const certificatesFolder = '/etc/docker/certs.d';

/** The engine's registry client: the registry layer's, whose methods have the port's shapes. Disposing closes its connections. */
export function openEngineRegistryClient(options: RegistryClientOptions): RegistryClient & AsyncDisposable {
  return openRegistryClient(options);
}

/** What the settings say of registries. */
export function registryClientOptions(settings: Settings, certificateAuthorities: string | undefined): RegistryClientOptions {
  const { registryMirrors, insecureRegistries, registryAuthFile, registryCertificates, httpProxy, httpsProxy, noProxy } = settings;
  const stored = registryAuthFile === undefined ? undefined : new DockerConfigCredentials(registryAuthFile);
  return {
    mirrors: registryMirrors, insecure: insecureRegistries, certificateAuthorities, certificatesFolder: registryCertificates ?? certificatesFolder,
    proxy: { http: httpProxy, https: httpsProxy, noProxy },
    ...(stored === undefined ? {} : { credentials: (host, signal) => stored.find(host, signal) }),
  };
}
