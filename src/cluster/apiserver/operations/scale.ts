import { isFields, requirementsOf, formatLabelSelector, type k8s } from '../../../api/mod.ts';
import { badRequest, objectInvalid } from '../errors.ts';
import type { ApiObject, Kind, ScalePaths } from '../kinds/kind.ts';
import type { StoredObject } from '../objects/stored-object.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import type { Machine, ObjectPlace, WriteOptions } from './machine.ts';
import { modifyObject } from './update.ts';

/** The autoscaling/v1 Scale view of an object. */
export function scaleOf(object: ApiObject, paths: ScalePaths): k8s.Scale & { apiVersion: string; kind: string } {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const replicas = numberAt(object, paths.specReplicas);
  const selector = selectorText(object, paths);
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), uid, resourceVersion, creationTimestamp },
    spec: { ...(replicas === undefined ? {} : { replicas }) },
    status: { replicas: numberAt(object, paths.statusReplicas) ?? 0, ...(selector === '' ? {} : { selector }) },
  };
}

/** Sets the replicas of an object to those of a Scale. `change` makes the new Scale from the current one. */
export function modifyScale(machine: Machine, kind: Kind, paths: ScalePaths, place: ObjectPlace, change: (scale: k8s.Scale) => unknown, options: WriteOptions): Promise<StoredObject> {
  const modify = (object: ApiObject): ApiObject => {
    const scale = change(scaleOf(object, paths));
    const { replicas, resourceVersion } = checkScale(scale, place.name);
    setAt(object, paths.specReplicas, replicas);
    object.metadata.resourceVersion = resourceVersion;
    return object;
  };
  return modifyObject(machine, kind, place, modify, { part: 'main' }, options);
}

function checkScale(scale: unknown, name: string): { replicas: number; resourceVersion: string } {
  if (!isFields(scale) || !isFields(scale['spec'])) throw badRequest('the body must be a Scale with a spec');
  const replicas = scale['spec']['replicas'] ?? 0;
  const errors = new FieldErrors();
  if (typeof replicas !== 'number' || !Number.isInteger(replicas)) throw badRequest('spec.replicas must be an integer');
  if (replicas < 0) errors.invalid('spec.replicas', replicas, 'must be greater than or equal to 0');
  if (errors.places.length > 0) throw objectInvalid({ group: 'autoscaling', plural: 'scales', kind: 'Scale' }, name, errors.places);
  const metadata = isFields(scale['metadata']) ? scale['metadata'] : {};
  const { resourceVersion } = metadata;
  return { replicas, resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : '' };
}

function selectorText(object: ApiObject, paths: ScalePaths): string {
  if (paths.labelSelector === undefined) {
    const selector = isFields(object.spec) ? object.spec['selector'] : undefined;
    return formatLabelSelector(requirementsOf(selector as k8s.LabelSelector | undefined) ?? []);
  }
  const value = paths.labelSelector.length === 0 ? undefined : valueAt(object, paths.labelSelector);
  return typeof value === 'string' ? value : '';
}

function valueAt(object: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, name) => (isFields(value) ? value[name] : undefined), object);
}

function numberAt(object: unknown, path: readonly string[]): number | undefined {
  const value = valueAt(object, path);
  return typeof value === 'number' ? value : undefined;
}

function setAt(object: Record<string, unknown>, path: readonly string[], value: number): void {
  let current = object;
  for (const name of path.slice(0, -1)) {
    const next: Record<string, unknown> = isFields(current[name]) ? current[name] : {};
    current[name] = next;
    current = next;
  }
  current[path.at(-1) ?? ''] = value;
}
