import type { KubeObject, Stored } from '../../../api/mod.ts';
import type { Informer, Lister } from '../../../client/mod.ts';
import { controllerOf } from './claim.ts';

const indexName = 'orphans-by-namespace';

/** Makes the informer able to answer `orphansOf`. */
export function orphanIndex<T extends KubeObject>(informer: Informer<T>): Informer<T> {
  return informer.defineIndex(indexName, (object) => (controllerOf(object) === undefined ? [object.metadata.namespace ?? ''] : []));
}

/** The namespace's objects that no controller has. */
export function orphansOf<T extends KubeObject>(lister: Lister<T>, namespace: string): Stored<T>[] {
  return lister.indexed(indexName, namespace);
}
