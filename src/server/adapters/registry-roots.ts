import type { KubeClient } from '../../client/mod.ts';
import { isError } from '../../kernel/mod.ts';

/** Everything that can name an image by digest. Kinds that the API server does not have are left out. */
const paths = [
  '/api/v1/pods',
  '/apis/apps/v1/deployments',
  '/apis/apps/v1/replicasets',
  '/apis/apps/v1/statefulsets',
  '/apis/apps/v1/daemonsets',
  '/apis/apps/v1/controllerrevisions',
  '/apis/batch/v1/jobs',
  '/apis/batch/v1/cronjobs',
  '/apis/gantry.dev/v1/releases',
  '/apis/gantry.dev/v1/imagebuilds',
  '/apis/gantry.dev/v1/workflowruns',
];

/**
 * The image digests that objects of the API refer to, for the registry's collection: old replica sets and releases are what a rollback needs.
 * Any digest in an object's text counts; one too many only keeps an image longer. Rejects when a list cannot be read.
 */
export function registryRootsOf(client: KubeClient): (signal: AbortSignal) => Promise<ReadonlySet<string>> {
  return async (signal) => {
    const lists = await Promise.all(paths.map((path) => listText(client, path, signal)));
    return new Set(lists.flatMap((text) => text.match(/sha256:[0-9a-f]{64}/g) ?? []));
  };
}

async function listText(client: KubeClient, path: string, signal: AbortSignal): Promise<string> {
  try {
    return JSON.stringify(await client.request('GET', path, undefined, signal));
  } catch (error) {
    if (isError(error, 'not-found')) return '';
    throw error;
  }
}
