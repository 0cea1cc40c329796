import { isDeepStrictEqual } from 'node:util';
import type { k8s } from '../../../api/mod.ts';
import { objectInvalid } from '../errors.ts';
import type { ApiObject, Kind } from '../kinds/kind.ts';
import type { StoredObject } from '../objects/stored-object.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import type { Machine, ObjectPlace, WriteOptions } from './machine.ts';
import { modifyObject } from './update.ts';

/** Ephemeral containers have no use for these; the API refuses them (Kubernetes, "Ephemeral Containers"). */
const forbidden = ['ports', 'livenessProbe', 'readinessProbe', 'startupProbe', 'lifecycle', 'resources', 'restartPolicy'] as const;

/** Adds ephemeral containers to a running pod (pods/x/ephemeralcontainers): what `kubectl debug` does. `change` makes the new pod from the current one. */
export function modifyEphemeralContainers(machine: Machine, pods: Kind, place: ObjectPlace, change: (pod: ApiObject) => ApiObject, options: WriteOptions): Promise<StoredObject> {
  const modify = (current: ApiObject): ApiObject => {
    const next = change(structuredClone(current)) as ApiObject & k8s.Pod;
    const before = current as ApiObject & k8s.Pod;
    const wanted = next.spec?.ephemeralContainers ?? [];
    checkAdded(pods, before, wanted);
    return { ...current, metadata: { ...current.metadata, resourceVersion: next.metadata.resourceVersion }, spec: { ...before.spec, ephemeralContainers: wanted } };
  };
  return modifyObject(machine, pods, place, modify, { part: 'all' }, options);
}

function checkAdded(pods: Kind, { metadata, spec, status }: ApiObject & k8s.Pod, wanted: readonly k8s.EphemeralContainer[]): void {
  const errors = new FieldErrors();
  const at = 'spec.ephemeralContainers';
  const isOver = status?.phase === 'Succeeded' || status?.phase === 'Failed';
  if (isOver) errors.forbidden(at, 'may not be added to a pod that has finished');
  for (const old of spec?.ephemeralContainers ?? []) {
    const now = wanted.find(({ name }) => name === old.name);
    if (now === undefined) errors.forbidden(at, `existing ephemeral containers "${old.name}" may not be removed\n`);
    else if (!isDeepStrictEqual(now, old)) errors.forbidden(at, `existing ephemeral containers "${old.name}" may not be changed\n`);
  }
  const targets = new Set([...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].map(({ name }) => name));
  for (const [index, container] of wanted.entries()) {
    for (const field of forbidden) if (container[field] !== undefined && Object.keys(container[field]).length > 0) errors.forbidden(`${at}[${index}].${field}`, 'cannot be set for an Ephemeral Container');
    const target = container.targetContainerName ?? '';
    if (target !== '' && !targets.has(target)) errors.notFound(`${at}[${index}].targetContainerName`, target);
  }
  if (errors.places.length > 0) throw objectInvalid(pods.type, metadata.name, errors.places);
}
