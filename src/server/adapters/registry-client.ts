import type { RegistryClient } from '../../engine/mod.ts';
import { openRegistryClient, type RegistryClientOptions } from '../../registry/mod.ts';

/** The engine's registry client: the registry layer's, whose methods have the port's shapes. Disposing closes its connections. */
export function openEngineRegistryClient(options: RegistryClientOptions): RegistryClient & AsyncDisposable {
  return openRegistryClient(options);
}
