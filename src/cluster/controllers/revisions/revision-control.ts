import { type k8s, keyOf, refOf, type Stored } from '../../../api/mod.ts';
import type { KubeClient } from '../../../client/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import { revisionKind, type Revision, type RevisionPlan } from './revisions.ts';

/** What a plan asks to be done with revisions. */
export type RevisionAction =
  | { type: 'create-revision'; revision: k8s.ControllerRevision }
  | { type: 'renumber-revision'; revision: Revision; to: number }
  | { type: 'delete-revision'; revision: Revision };

export function revisionActions({ create, renumber }: RevisionPlan): RevisionAction[] {
  if (create !== undefined) return [{ type: 'create-revision', revision: create }];
  return renumber === undefined ? [] : [{ type: 'renumber-revision', ...renumber }];
}

/** Does it. What is done already, by a pass before a crash or with a stale cache, is left alone. */
export async function actOnRevision(client: KubeClient, action: RevisionAction, signal: AbortSignal): Promise<void> {
  switch (action.type) {
    case 'create-revision':
      try {
        await client.create(revisionKind, action.revision, signal);
      } catch (error) {
        if (!isError(error, 'already-exists')) throw error;
      }
      return;
    case 'renumber-revision':
      await patch(client, action.revision, { revision: action.to }, signal);
      return;
    case 'delete-revision':
      return client.delete(revisionKind, refOf(keyOf(action.revision)), { preconditions: { uid: action.revision.metadata.uid } }, signal);
  }
}

async function patch(client: KubeClient, { metadata }: Stored<k8s.ControllerRevision>, body: object, signal: AbortSignal): Promise<void> {
  const { uid, name, namespace } = metadata;
  await client.patch(revisionKind, { namespace, name }, { type: 'merge', body: { metadata: { uid }, ...body } }, signal);
}
