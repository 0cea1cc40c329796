import { isDeepStrictEqual } from 'node:util';
import { apiVersionOf, type k8s, keyOf, matchesLabels, parseLabelSelector, resources, type ResourceType } from '../../../api/mod.ts';
import { type Change, Controller, type Informer, type Plan, readGroupVersion, type Reconciler } from '../../../client/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import type { ControllerSettings } from '../config.ts';
import type { ControllerContext } from '../context.ts';
import { writeStatus } from '../write-status.ts';
import { emptyHistory, type History, withScaling } from './history.ts';
import { type AutoscalerAction, type ObservedAutoscaler, type ObservedScale, planAutoscaler } from './plan.ts';
import { readCustomMetrics } from './custom-metrics.ts';
import { readPodUsage } from './pod-metrics.ts';

const kind = resources.horizontalPodAutoscalers;

/** autoscaling/v1 Scale, as the scale subresource of any kind serves it. */
interface Scale { spec?: { replicas?: number }; status?: { replicas: number; selector?: string } }

/** Sizes workloads by what their pods use. */
export function autoscalerController(context: ControllerContext, settings: ControllerSettings): Controller<ObservedAutoscaler, AutoscalerAction, k8s.HorizontalPodAutoscalerStatus> {
  const autoscalers = context.informers.of(kind);
  const pods = context.informers.of(resources.pods);
  // Its own status writes must not start the next pass: that is the period's business.
  const isSpecChange = (change: Change<k8s.HorizontalPodAutoscaler>): boolean => change.type !== 'modified' || !isDeepStrictEqual(change.previous.spec, change.object.spec);
  return new Controller(new AutoscalerReconciler(context, settings, autoscalers, pods), { ...context.controllerOptions }, context.log)
    .watch(autoscalers, (autoscaler) => [keyOf(autoscaler)], isSpecChange)
    .reads(pods);
}

class AutoscalerReconciler implements Reconciler<ObservedAutoscaler, AutoscalerAction, k8s.HorizontalPodAutoscalerStatus> {
  readonly name = 'autoscaler';
  readonly #context: ControllerContext;
  readonly #settings: ControllerSettings;
  readonly #autoscalers: Informer<k8s.HorizontalPodAutoscaler>;
  readonly #pods: Informer<k8s.Pod>;
  /** By uid. */
  readonly #histories = new Map<string, History>();

  constructor(context: ControllerContext, settings: ControllerSettings, autoscalers: Informer<k8s.HorizontalPodAutoscaler>, pods: Informer<k8s.Pod>) {
    this.#context = context;
    this.#settings = settings;
    this.#autoscalers = autoscalers;
    this.#pods = pods;
    autoscalers.onChange(({ type, object }) => type === 'deleted' && this.#histories.delete(object.metadata.uid));
  }

  async observe(key: string, signal: AbortSignal): Promise<ObservedAutoscaler | undefined> {
    const autoscaler = this.#autoscalers.get(key);
    if (autoscaler?.spec === undefined || autoscaler.metadata.deletionTimestamp !== undefined) return undefined;
    const namespace = autoscaler.metadata.namespace ?? '';
    const [scale, usage] = await Promise.all([
      this.#readScale(namespace, autoscaler.spec.scaleTargetRef, signal),
      readPodUsage(this.#context.client, namespace, signal).then((of) => ({ of }), (error: unknown) => ({ error })),
    ]);
    const custom = await readCustomMetrics(this.#context.client, namespace, autoscaler.spec, 'selector' in scale ? (scale.selector ?? '') : '', (reference, stop) => this.#typeOf(reference, stop), signal);
    return {
      autoscaler: { ...autoscaler, spec: autoscaler.spec },
      custom,
      scale,
      usage,
      history: this.#histories.get(autoscaler.metadata.uid) ?? emptyHistory,
      syncMs: this.#settings.autoscalerSyncMs,
      downscaleStabilizationMs: this.#settings.autoscalerDownscaleStabilizationMs,
      nowMs: this.#context.clock.now(),
    };
  }

  plan(observed: ObservedAutoscaler): Plan<AutoscalerAction, k8s.HorizontalPodAutoscalerStatus> {
    return planAutoscaler(observed);
  }

  async act(action: AutoscalerAction, { autoscaler, nowMs }: ObservedAutoscaler, signal: AbortSignal): Promise<void> {
    const { uid, namespace } = autoscaler.metadata;
    switch (action.type) {
      case 'remember':
        this.#histories.set(uid, action.history);
        return;
      case 'warn':
        this.#context.events.warning(autoscaler, action.reason, action.message);
        return;
      case 'scale': {
        const target = autoscaler.spec.scaleTargetRef;
        const type = await this.#typeOf(target, signal);
        await this.#context.client.patch(type, { namespace, name: target.name }, { type: 'merge', subresource: 'scale', body: { spec: { replicas: action.to } } }, signal);
        this.#histories.set(uid, withScaling(this.#histories.get(uid) ?? emptyHistory, nowMs, action.from, action.to));
        this.#context.events.normal(autoscaler, 'SuccessfulRescale', `New size: ${action.to}; reason: ${action.reason}`);
      }
    }
  }

  report(status: k8s.HorizontalPodAutoscalerStatus, { autoscaler }: ObservedAutoscaler, signal: AbortSignal): Promise<void> {
    return writeStatus(this.#context.client, kind, autoscaler, status, signal);
  }

  async #readScale(namespace: string, target: k8s.CrossVersionObjectReference, signal: AbortSignal): Promise<ObservedScale> {
    try {
      const { group, version, plural } = await this.#typeOf(target, signal);
      const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
      const scale = (await this.#context.client.request('GET', `${root}/namespaces/${encodeURIComponent(namespace)}/${plural}/${encodeURIComponent(target.name)}/scale`, undefined, signal)) as Scale;
      const selector = scale.status?.selector ?? '';
      if (selector === '') return { error: new GantryError('invalid', 'selector is required'), reason: 'InvalidSelector' };
      const requirements = parseLabelSelector(selector);
      const pods = this.#pods.list(namespace).filter(({ metadata }) => matchesLabels(requirements, metadata.labels));
      return { replicas: scale.spec?.replicas ?? 0, pods, selector };
    } catch (error) {
      if (signal.aborted) throw error;
      return { error, reason: 'FailedGetScale' };
    }
  }

  /** Built-in kinds are known; any other is asked for. */
  async #typeOf({ apiVersion = 'apps/v1', kind: name }: k8s.CrossVersionObjectReference, signal: AbortSignal): Promise<ResourceType> {
    const known = [resources.deployments, resources.replicaSets, resources.services, resources.pods].find((type) => type.kind === name && apiVersion === apiVersionOf(type));
    if (known !== undefined) return known;
    const found = (await readGroupVersion(this.#context.client, apiVersion, signal)).find((type) => type.kind === name);
    if (found === undefined) throw new GantryError('not-found', `no matches for kind "${name}" in version "${apiVersion}"`);
    return found;
  }
}
