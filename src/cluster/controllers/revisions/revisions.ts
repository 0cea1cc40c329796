import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { type k8s, type KubeObject, resources, type ResourceType, type Stored } from '../../../api/mod.ts';
import { controllerReference } from '../ownership/claim.ts';

export type Revision = Stored<k8s.ControllerRevision>;
export type NewRevision = k8s.ControllerRevision & { metadata: k8s.ObjectMeta & { name: string } };

/** The label by which pods tell the revision they were made from. */
export const revisionLabel = 'controller-revision-hash';
const changeCause = 'kubernetes.io/change-cause';

/** What a workload's pods were, are and will be made from. */
export interface RevisionPlan {
  /** The revision of the template as it is now; it may still have to be created. */
  readonly update: NewRevision | Revision;
  readonly create?: NewRevision;
  /** An earlier revision that is wanted again: it becomes the latest. */
  readonly renumber?: { readonly revision: Revision; readonly to: number };
}

interface Templated extends KubeObject { spec?: { template: k8s.PodTemplateSpec } }

/** Finds the revision of the template among the ones there are, by content. */
export function planRevision(type: ResourceType, owner: Stored<Templated>, revisions: readonly Revision[]): RevisionPlan {
  const data = dataOf(owner.spec?.template);
  const sorted = revisions.toSorted(byRevision);
  const latest = sorted.at(-1);
  const equal = sorted.findLast((revision) => isDeepStrictEqual(canonical(revision.data), canonical(data)));
  if (equal === undefined) {
    const create = newRevision(type, owner, data, (latest?.revision ?? 0) + 1);
    return { update: create, create };
  }
  if (equal === latest || latest === undefined) return { update: equal };
  return { update: equal, renumber: { revision: equal, to: latest.revision + 1 } };
}

/** Revisions beyond the limit that no pod was made from, the oldest first. */
export function surplusRevisions(revisions: readonly Revision[], inUse: ReadonlySet<string>, limit: number): Revision[] {
  const idle = revisions.filter(({ metadata }) => !inUse.has(metadata.name)).toSorted(byRevision);
  return idle.slice(0, Math.max(0, idle.length - limit));
}

/** The pod template that a revision keeps. */
export function templateOf(revision: k8s.ControllerRevision): k8s.PodTemplateSpec | undefined {
  const { spec } = (revision.data ?? {}) as { spec?: { template?: k8s.PodTemplateSpec & { $patch?: string } } };
  if (spec?.template === undefined) return undefined;
  const { $patch: _directive, ...template } = spec.template;
  return template;
}

/** The part of a revision's name that tells it from the workload's others. */
export function hashOf({ metadata }: k8s.ControllerRevision): string {
  return metadata?.labels?.[revisionLabel] ?? '';
}

function newRevision(type: ResourceType, owner: Stored<Templated>, data: unknown, revision: number): NewRevision {
  const { name, namespace, uid, annotations } = owner.metadata;
  // The owner's uid keeps apart what workloads of the same name, one after the other, make.
  const hash = createHash('sha256').update(JSON.stringify([uid, canonical(data)])).digest('hex').slice(0, 10).replaceAll(/[aeiou]/g, 'x');
  const cause = annotations?.[changeCause];
  return {
    metadata: {
      name: `${name}-${hash}`,
      namespace,
      labels: { ...owner.spec?.template.metadata?.labels, [revisionLabel]: hash },
      ...(cause === undefined ? {} : { annotations: { [changeCause]: cause } }),
      ownerReferences: [controllerReference(type, owner)],
    },
    data,
    revision,
  };
}

/** As Kubernetes keeps it: a strategic merge patch that puts the template back, which is what `kubectl rollout undo` sends. */
function dataOf(template: k8s.PodTemplateSpec | undefined): unknown {
  return { spec: { template: { ...template, $patch: 'replace' } } };
}

function canonical(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null, (_key, inner: unknown) => (isPlain(inner) ? Object.fromEntries(Object.entries(inner).filter(([, item]) => item !== undefined && item !== null).toSorted(([a], [b]) => (a < b ? -1 : 1))) : inner)));
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function byRevision(a: Revision, b: Revision): number {
  return a.revision - b.revision || (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? -1 : 1);
}

/** Where revisions are written. */
export const revisionKind = resources.controllerRevisions;
