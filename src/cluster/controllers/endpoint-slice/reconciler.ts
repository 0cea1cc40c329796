import { type k8s, keyOf, refOf, resources, type Stored } from '../../../api/mod.ts';
import { Controller, type Informer, type Plan, type Reconciler } from '../../../client/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import type { ControllerContext } from '../context.ts';
import { managedBy, managedByLabel, type ObservedService, planEndpointSlices, serviceNameLabel, type SliceAction } from './plan.ts';

const sliceIndex = 'slices-by-service';

/** Keeps EndpointSlices in step with Services that have a selector and their pods. */
export function endpointSliceController(context: ControllerContext): Controller<ObservedService, SliceAction, never> {
  const services = context.informers.of(resources.services);
  const pods = context.informers.of(resources.pods);
  const nodes = context.informers.of(resources.nodes);
  const slices = context.informers.of(resources.endpointSlices).defineIndex(sliceIndex, (slice) => (isOurs(slice) ? [serviceKeyOf(slice)] : []));
  const selecting = (pod: Stored<k8s.Pod>): string[] => services.list(pod.metadata.namespace ?? '').filter((service) => selects(service, pod)).map(keyOf);
  return new Controller(new EndpointSliceReconciler(context, { services, pods, nodes, slices }), { workers: 4, ...context.controllerOptions }, context.log)
    .watch(services)
    .watch(pods, selecting)
    .watch(slices, (slice) => (isOurs(slice) ? [serviceKeyOf(slice)] : []))
    .reads(nodes);
}

function isOurs({ metadata }: Stored<k8s.EndpointSlice>): boolean {
  return metadata.labels?.[managedByLabel] === managedBy;
}

function serviceKeyOf({ metadata }: Stored<k8s.EndpointSlice>): string {
  return keyOf({ namespace: metadata.namespace, name: metadata.labels?.[serviceNameLabel] ?? '' });
}

/** A Service's selector is a plain map; an empty one means that someone else keeps the endpoints. */
function selects({ spec }: k8s.Service, pod: k8s.Pod): boolean {
  const selector = Object.entries(spec?.selector ?? {});
  return selector.length > 0 && spec?.type !== 'ExternalName' && selector.every(([name, value]) => pod.metadata?.labels?.[name] === value);
}

interface Caches {
  readonly services: Informer<k8s.Service>;
  readonly pods: Informer<k8s.Pod>;
  readonly nodes: Informer<k8s.Node>;
  readonly slices: Informer<k8s.EndpointSlice>;
}

class EndpointSliceReconciler implements Reconciler<ObservedService, SliceAction, never> {
  readonly name = 'endpointslice';
  readonly #context: ControllerContext;
  readonly #caches: Caches;

  constructor(context: ControllerContext, caches: Caches) {
    this.#context = context;
    this.#caches = caches;
  }

  observe(key: string): ObservedService | undefined {
    const service = this.#caches.services.get(key);
    if (service?.spec === undefined) return undefined;
    const slices = this.#caches.slices.indexed(sliceIndex, key).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    const hasSelector = Object.keys(service.spec.selector ?? {}).length > 0 && service.spec.type !== 'ExternalName';
    if (!hasSelector) return undefined;
    return {
      service: { ...service, spec: service.spec },
      pods: this.#caches.pods.list(service.metadata.namespace ?? '').filter((pod) => selects(service, pod)),
      slices,
      zoneOf: (node) => this.#caches.nodes.get(node)?.metadata.labels?.['topology.kubernetes.io/zone'],
    };
  }

  plan(observed: ObservedService): Plan<SliceAction, never> {
    return planEndpointSlices(observed);
  }

  async act(action: SliceAction, _observed: ObservedService, signal: AbortSignal): Promise<void> {
    const { client } = this.#context;
    switch (action.type) {
      case 'create':
        try {
          await client.create(resources.endpointSlices, action.slice, signal);
        } catch (error) {
          // Ours from the pass before; the watch brings it and then it is updated.
          if (!isError(error, 'already-exists')) throw error;
        }
        return;
      case 'update':
        await client.update(resources.endpointSlices, action.slice, signal);
        return;
      case 'delete':
        return client.delete(resources.endpointSlices, refOf(keyOf(action.slice)), { preconditions: { uid: action.slice.metadata.uid } }, signal);
    }
  }
}
