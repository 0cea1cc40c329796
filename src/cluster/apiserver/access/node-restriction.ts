import { isDeepStrictEqual } from 'node:util';
import type { k8s } from '../../../api/mod.ts';
import { objectForbidden } from '../errors.ts';
import type { ApiObject } from '../kinds/kind.ts';
import type { AdmissionCheck } from '../operations/admission.ts';
import { mirrorProblem } from './mirror-pods.ts';
import { isVolumeOn } from './node-authorizer.ts';
import { nodeOf } from './node-user.ts';

/** Labels that say where pods may not go; a node must not choose them for itself (Kubernetes, "Node isolation/restriction"). */
const isolationPrefix = 'node-restriction.kubernetes.io/';
const leaseNamespace = 'kube-node-lease';

/** What an agent may put into the objects that it may write: the authorizer has seen only their names. */
export const nodeRestriction: AdmissionCheck = ({ kind, object, old, user, part }) => {
  const node = user === undefined ? undefined : nodeOf(user);
  if (node === undefined || object === undefined) return;
  const problem = restrictions[`${kind.type.group}/${kind.type.plural}`]?.(object, old, node, part);
  if (problem !== undefined) throw objectForbidden(kind.type, object.metadata.name, problem);
};

type Restriction = (object: ApiObject, old: ApiObject | undefined, node: string, part: string) => string | undefined;

const restrictions: Readonly<Record<string, Restriction>> = {
  '/nodes': (object, old, node) => {
    if (object.metadata.name !== node) return `node ${JSON.stringify(node)} is not allowed to modify node ${JSON.stringify(object.metadata.name)}`;
    if (old !== undefined && !isDeepStrictEqual((object as k8s.Node).spec?.taints ?? [], (old as k8s.Node).spec?.taints ?? [])) return `node ${JSON.stringify(node)} is not allowed to modify taints`;
    const changed = changedKeys(object.metadata.labels, old?.metadata.labels).filter((key) => key.startsWith(isolationPrefix));
    return changed.length === 0 ? undefined : `is not allowed to modify labels: ${changed.toSorted().join(', ')}`;
  },
  '/pods': (object, old, node, part) => {
    if (old === undefined) return part === 'main' ? mirrorProblem(object as k8s.Pod, node) : undefined;
    if (part !== 'status') return undefined;
    if (!isDeepStrictEqual(object.metadata.labels ?? {}, old.metadata.labels ?? {})) return `node ${JSON.stringify(node)} cannot update labels through pod status`;
    return isDeepStrictEqual(object.metadata.annotations ?? {}, old.metadata.annotations ?? {}) ? undefined : `node ${JSON.stringify(node)} cannot update annotations through pod status`;
  },
  '/namespaces': ({ metadata }, _, node) => (metadata.name === leaseNamespace ? undefined : `node ${JSON.stringify(node)} may create no namespace but ${leaseNamespace}`),
  'coordination.k8s.io/leases': ({ metadata }, _, node) => (metadata.name === node && metadata.namespace === leaseNamespace ? undefined : `can only access node lease with the same name as the requesting node`),
  '/persistentvolumes': (object, _, node) => (isVolumeOn(object as k8s.PersistentVolume, node) ? undefined : `node ${JSON.stringify(node)} may create volumes only on itself`),
};

function changedKeys(labels: Readonly<Record<string, string>> = {}, old: Readonly<Record<string, string>> = {}): string[] {
  return [...new Set([...Object.keys(labels), ...Object.keys(old)])].filter((key) => labels[key] !== old[key]);
}
