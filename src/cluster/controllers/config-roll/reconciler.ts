import { createHash } from 'node:crypto';
import { type k8s, keyOf, type KubeObject, refOf, resources, type ResourceType, type Stored } from '../../../api/mod.ts';
import { Controller, type Plan, type Reconciler } from '../../../client/mod.ts';
import type { ControllerContext } from '../context.ts';
import { configReferences } from './references.ts';

/** Set to "true" on a workload whose pods are to be replaced when a ConfigMap or Secret they use changes. */
export const rollAnnotation = 'gantry.dev/roll-on-config-change';
/** On the workload: the configuration its pods were last rolled for. On its template: what makes the pods new. */
export const configHashAnnotation = 'gantry.dev/config-hash';

interface Templated extends KubeObject { spec?: { template: k8s.PodTemplateSpec } }
type Workload = Stored<Templated>;

export interface ObservedConfig {
  readonly workload: Workload;
  readonly hash: string;
}

/** `note`: the first look; nothing is rolled. `roll`: the template changes, and the workload's own rollout does the rest. */
export type ConfigAction = { readonly type: 'note' | 'roll'; readonly hash: string };

/** What to do about a workload that asked to follow its configuration. */
export function planConfigRoll({ workload, hash }: ObservedConfig): Plan<ConfigAction, never> {
  const { annotations = {}, deletionTimestamp } = workload.metadata;
  const known = annotations[configHashAnnotation];
  if (annotations[rollAnnotation] !== 'true' || deletionTimestamp !== undefined || known === hash) return { actions: [] };
  return { actions: [{ type: known === undefined ? 'note' : 'roll', hash }] };
}

/** One controller for each kind of workload: Kubernetes itself never restarts pods for a changed ConfigMap. */
export function configRollControllers(contextOf: (component: string) => ControllerContext): Controller<ObservedConfig, ConfigAction, never>[] {
  const context = contextOf('config-roll-controller');
  return [controllerOf(context, resources.deployments), controllerOf(context, resources.statefulSets), controllerOf(context, resources.daemonSets)];
}

function controllerOf<T extends Templated>(context: ControllerContext, type: ResourceType<T>): Controller<ObservedConfig, ConfigAction, never> {
  const workloads = context.informers.of(type);
  const [configMaps, secrets] = [context.informers.of(resources.configMaps), context.informers.of(resources.secrets)];
  const reconciler: Reconciler<ObservedConfig, ConfigAction, never> = {
    name: `config-roll-${type.plural}`,
    observe: (key) => {
      const workload = workloads.get(key);
      if (workload?.metadata.annotations?.[rollAnnotation] !== 'true') return undefined;
      const { namespace } = workload.metadata;
      const names = configReferences(workload.spec?.template.spec);
      const contents = [
        ...names.configMaps.map((name) => [name, dataOf(configMaps.get(keyOf({ namespace, name })))]),
        ...names.secrets.map((name) => [name, dataOf(secrets.get(keyOf({ namespace, name })))]),
      ];
      return { workload, hash: createHash('sha256').update(JSON.stringify(contents)).digest('hex').slice(0, 16) };
    },
    plan: planConfigRoll,
    act: async ({ type: what, hash }, { workload }, signal) => {
      const annotations = { [configHashAnnotation]: hash };
      const body = { metadata: { uid: workload.metadata.uid, annotations }, ...(what === 'roll' ? { spec: { template: { metadata: { annotations } } } } : {}) };
      await context.client.patch(type, refOf(keyOf(workload)), { type: 'merge', body }, signal);
      if (what === 'roll') context.events.normal(workload, 'ConfigurationChanged', 'A ConfigMap or Secret of the pods has changed: they are replaced');
    },
  };
  const users = ({ metadata: { namespace = '', name } }: Stored<KubeObject>, list: 'configMaps' | 'secrets'): string[] =>
    workloads.list(namespace).filter(({ metadata, spec }) => metadata.annotations?.[rollAnnotation] === 'true' && configReferences(spec?.template.spec)[list].includes(name)).map(keyOf);
  return new Controller(reconciler, { workers: 1, ...context.controllerOptions }, context.log)
    .watch(workloads)
    .watch(configMaps, (object) => users(object, 'configMaps'))
    .watch(secrets, (object) => users(object, 'secrets'));
}

function dataOf(object: k8s.ConfigMap | k8s.Secret | undefined): unknown {
  const sorted = (map: Record<string, string> | undefined): [string, string][] => Object.entries(map ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return object === undefined ? null : [sorted(object.data), sorted('binaryData' in object ? object.binaryData : undefined)];
}
