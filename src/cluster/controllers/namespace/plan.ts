import type { k8s, KubeObject, ResourceType, Stored } from '../../../api/mod.ts';
import type { Plan } from '../../../client/mod.ts';
import { withCondition } from '../conditions.ts';

export interface ObservedNamespace {
  /** It is being deleted. */
  readonly namespace: Stored<k8s.Namespace>;
  readonly contents: readonly { readonly type: ResourceType; readonly objects: readonly Stored<KubeObject>[] }[];
  readonly nowMs: number;
}

export type NamespaceAction = { type: 'delete'; resource: ResourceType; objects: Stored<KubeObject>[] } | { type: 'finalize'; finalizers: string[] };

/** What still has finalizers or a grace period is looked at again after this time; pods tell by themselves. */
const recheckMs = 250;

/** Empties a namespace that is being deleted, then lets it go. */
export function planNamespace({ namespace, contents, nowMs }: ObservedNamespace): Plan<NamespaceAction, k8s.NamespaceStatus> {
  const remaining = contents.filter(({ objects }) => objects.length > 0);
  if (remaining.length === 0) return { actions: [{ type: 'finalize', finalizers: (namespace.spec?.finalizers ?? []).filter((finalizer) => finalizer !== 'kubernetes') }] };
  const actions = remaining.flatMap(({ type, objects }): NamespaceAction[] => {
    const untouched = objects.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    return untouched.length === 0 ? [] : [{ type: 'delete', resource: type, objects: untouched }];
  });
  const list = remaining.map(({ type, objects }) => `${type.plural}${type.group === '' ? '' : `.${type.group}`} has ${objects.length} resource instances`).join(', ');
  const held = new Map<string, number>();
  for (const { metadata } of remaining.flatMap(({ objects }) => objects)) for (const finalizer of metadata.finalizers ?? []) held.set(finalizer, (held.get(finalizer) ?? 0) + 1);
  const finalizers = [...held].map(([finalizer, count]) => `${finalizer} in ${count} resource instances`).join(', ');
  let conditions = withCondition(namespace.status?.conditions, { type: 'NamespaceContentRemaining', status: 'True', reason: 'SomeResourcesRemain', message: `Some resources are remaining: ${list}` }, nowMs);
  if (finalizers !== '') {
    conditions = withCondition(conditions, { type: 'NamespaceFinalizersRemaining', status: 'True', reason: 'SomeFinalizersRemain', message: `Some content in the namespace has finalizers remaining: ${finalizers}` }, nowMs);
  }
  return { actions, status: { ...namespace.status, phase: 'Terminating', conditions }, requeueAfterMs: recheckMs };
}
