import type { KubeClient } from '../client/mod.ts';
import type { Logger } from '../kernel/mod.ts';
import type { ApiObjects } from './apply/api-objects.ts';
import type { KindIndex } from './manifests/kinds.ts';
import type { ManifestSource } from './ports.ts';

/** The folder of a repository whose manifests are delivered. */
export const deployFolder = 'deploy';

/** What the steps of a delivery work with. */
export interface DeliveryParts {
  readonly client: KubeClient;
  readonly source: ManifestSource;
  readonly kinds: KindIndex;
  readonly objects: ApiObjects;
  readonly log: Logger;
}
