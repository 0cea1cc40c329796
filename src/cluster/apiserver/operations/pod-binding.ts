import { isFields } from '../../../api/mod.ts';
import { badRequest, objectInvalid, updateConflict } from '../errors.ts';
import type { ApiObject, Kind } from '../kinds/kind.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import { type Machine, type ObjectPlace, timeText, type WriteOptions } from './machine.ts';
import { modifyObject } from './update.ts';

/** Gives a pod its node (POST pods/x/binding): how a scheduler reports its choice. 409 when the pod has one already. */
export async function bindPod(machine: Machine, pods: Kind, place: ObjectPlace, binding: unknown, options: WriteOptions): Promise<void> {
  if (!isFields(binding) || !isFields(binding['target'])) throw badRequest('the body must be a Binding with a target');
  const { kind = 'Node', name } = binding['target'];
  const errors = new FieldErrors();
  if (kind !== 'Node') errors.unsupported('target.kind', kind, ['Node', '<empty>']);
  if (typeof name !== 'string' || name === '') errors.required('target.name');
  if (errors.places.length > 0) throw objectInvalid({ group: '', plural: 'bindings', kind: 'Binding' }, place.name, errors.places);
  const metadata = isFields(binding['metadata']) ? binding['metadata'] : {};
  const bind = (pod: ApiObject): ApiObject => bound(machine, pods, pod, String(name), metadata);
  const uid = typeof metadata['uid'] === 'string' ? metadata['uid'] : '';
  await modifyObject(machine, pods, place, bind, { part: 'all', uid }, options);
}

function bound(machine: Machine, pods: Kind, pod: ApiObject, nodeName: string, metadata: Record<string, unknown>): ApiObject {
  const spec = isFields(pod.spec) ? pod.spec : {};
  const { name } = pod.metadata;
  if (pod.metadata.deletionTimestamp !== undefined) throw updateConflict(pods.type, name, `pod ${name} is being deleted, cannot be assigned to a host`);
  if (typeof spec['nodeName'] === 'string' && spec['nodeName'] !== '') throw updateConflict(pods.type, name, `pod ${name} is already assigned to node ${JSON.stringify(spec['nodeName'])}`);
  if (Array.isArray(spec['schedulingGates']) && spec['schedulingGates'].length > 0) throw updateConflict(pods.type, name, `pod ${name} has non-empty .spec.schedulingGates`);
  const annotations = isFields(metadata['annotations']) ? (metadata['annotations'] as Record<string, string>) : undefined;
  if (annotations !== undefined) pod.metadata.annotations = { ...pod.metadata.annotations, ...annotations };
  const status = isFields(pod.status) ? pod.status : {};
  const others = (Array.isArray(status['conditions']) ? status['conditions'] : []).filter((condition) => !isFields(condition) || condition['type'] !== 'PodScheduled');
  const scheduled = { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: timeText(machine.clock.now()) };
  return { ...pod, spec: { ...spec, nodeName }, status: { ...status, conditions: [...others, scheduled] } };
}
