import { isFields, type k8s, resources, selectorMatches } from '../../../api/mod.ts';
import { GantryError, isError } from '../../../kernel/mod.ts';
import { badRequest, objectNotFound } from '../errors.ts';
import { type ApiObject, type Kind, objectKey } from '../kinds/kind.ts';
import { deleteObject, parseDeleteRequest } from './delete.ts';
import { listObjects, type Machine, type ObjectPlace, timeText, type WriteOptions } from './machine.ts';
import { modifyObject } from './update.ts';

/** More evictions than this under way at once are refused, as in Kubernetes. */
const maxDisrupted = 2000;
const retryMs = 10_000;

/** Deletes a pod in the way `kubectl drain` asks for (POST pods/x/eviction): only if its disruption budget allows it. 429 when it does not. */
export async function evictPod(machine: Machine, pods: Kind, place: ObjectPlace, body: unknown, query: URLSearchParams, options: WriteOptions): Promise<void> {
  if (!isFields(body)) throw badRequest('the body must be an Eviction');
  const metadata = isFields(body['metadata']) ? body['metadata'] : {};
  if (typeof metadata['name'] === 'string' && metadata['name'] !== '' && metadata['name'] !== place.name) throw badRequest('name in URL does not match name in Eviction object');
  const request = parseDeleteRequest(body['deleteOptions'], query);
  const stored = machine.objects.get(objectKey(pods, place.namespace, place.name));
  if (stored === undefined) throw objectNotFound(pods.type, place.name);
  const pod = stored.object as ApiObject & k8s.Pod;
  if (needsBudget(pod) && !request.dryRun) {
    await spendBudget(machine, pod, options);
    await markDisrupted(machine, pods, place, pod.metadata.uid, options);
  }
  await deleteObject(machine, pods, place, request);
}

/** A pod that does no work, or is going already, disturbs nobody. */
function needsBudget({ metadata, status }: ApiObject & k8s.Pod): boolean {
  return metadata.deletionTimestamp === undefined && !['Pending', 'Succeeded', 'Failed'].includes(status?.phase ?? 'Pending');
}

async function spendBudget(machine: Machine, pod: ApiObject & k8s.Pod, options: WriteOptions): Promise<void> {
  const { namespace = '', name } = pod.metadata;
  const budgets = [...listObjects(machine, resources.podDisruptionBudgets, namespace)].filter((budget) => selectorMatches((budget as k8s.PodDisruptionBudget).spec?.selector, pod.metadata.labels));
  const [budget] = budgets;
  if (budget === undefined) return;
  if (budgets.length > 1) throw new GantryError('internal', 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.');
  const kind = machine.kinds.find('policy', 'v1', 'poddisruptionbudgets');
  if (kind === undefined) return;
  const now = timeText(machine.clock.now());
  const spend = (current: ApiObject): ApiObject => spent(current as ApiObject & k8s.PodDisruptionBudget, pod, name, now);
  await modifyObject(machine, kind, { namespace, name: budget.metadata.name }, spend, { part: 'status' }, options);
}

function spent(budget: ApiObject & k8s.PodDisruptionBudget, pod: k8s.Pod, podName: string, now: string): ApiObject {
  const { spec = {}, status = {}, metadata } = budget;
  const { disruptionsAllowed = 0, currentHealthy = 0, desiredHealthy = 0 } = status;
  if ((status.observedGeneration ?? 0) < (metadata.generation ?? 0)) throw tooMany(`The disruption budget ${metadata.name} is still being processed by the server.`);
  const isReady = pod.status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;
  const isFree = !isReady && (spec.unhealthyPodEvictionPolicy === 'AlwaysAllow' || (currentHealthy >= desiredHealthy && desiredHealthy > 0));
  if (isFree) return budget;
  if (disruptionsAllowed <= 0) throw tooMany(`The disruption budget ${metadata.name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`);
  if (Object.keys(status.disruptedPods ?? {}).length > maxDisrupted) throw tooMany('DisruptedPods map too big - too many evictions not confirmed by PDB controller');
  return { ...budget, status: { ...status, disruptionsAllowed: disruptionsAllowed - 1, disruptedPods: { ...status.disruptedPods, [podName]: now } } };
}

function tooMany(why: string): GantryError {
  return new GantryError('exhausted', "Cannot evict pod as it would violate the pod's disruption budget.", { retryAfterMs: retryMs, places: [{ reason: 'DisruptionBudget', message: why }] });
}

/** The pod says why it ends, for the failure policies of Jobs. */
async function markDisrupted(machine: Machine, pods: Kind, place: ObjectPlace, uid: string, options: WriteOptions): Promise<void> {
  const condition = { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI', message: 'Eviction API: evicting', lastTransitionTime: timeText(machine.clock.now()) };
  const mark = (pod: ApiObject): ApiObject => {
    const status = isFields(pod.status) ? pod.status : {};
    const others = (Array.isArray(status['conditions']) ? status['conditions'] : []).filter((one) => !isFields(one) || one['type'] !== condition.type);
    return { ...pod, status: { ...status, conditions: [...others, condition] } };
  };
  try {
    await modifyObject(machine, pods, place, mark, { part: 'status', uid }, options);
  } catch (error) {
    if (!isError(error, 'not-found')) throw error;
  }
}
