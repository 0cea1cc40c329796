import { type k8s, keyOf, refOf, resources, type Stored } from '../../../api/mod.ts';
import { Controller, type Informer, type Plan, type Reconciler } from '../../../client/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import type { ControllerContext } from '../context.ts';
import { managedBy, managedByLabel, serviceNameLabel } from '../endpoint-slice/plan.ts';
import { type EndpointsAction, mirroredBy, type ObservedEndpoints, planEndpoints } from './plan.ts';

const sliceIndex = 'endpoints-slices-by-service';

/** Keeps Endpoints and EndpointSlices in step, for clients that read or write the older form. */
export function endpointsController(context: ControllerContext): Controller<ObservedEndpoints, EndpointsAction, never> {
  const services = context.informers.of(resources.services);
  const endpoints = context.informers.of(resources.endpoints);
  const slices = context.informers.of(resources.endpointSlices).defineIndex(sliceIndex, serviceKeys);
  return new Controller(new EndpointsReconciler(context, { services, endpoints, slices }), { ...context.controllerOptions }, context.log).watch(services).watch(endpoints).watch(slices, serviceKeys);
}

/** Slices that others keep for a Service are no business of Endpoints. */
function serviceKeys({ metadata }: Stored<k8s.EndpointSlice>): string[] {
  const keeper = metadata.labels?.[managedByLabel];
  const name = metadata.labels?.[serviceNameLabel];
  return name !== undefined && (keeper === managedBy || keeper === mirroredBy) ? [keyOf({ namespace: metadata.namespace, name })] : [];
}

interface Caches {
  readonly services: Informer<k8s.Service>;
  readonly endpoints: Informer<k8s.Endpoints>;
  readonly slices: Informer<k8s.EndpointSlice>;
}

class EndpointsReconciler implements Reconciler<ObservedEndpoints, EndpointsAction, never> {
  readonly name = 'endpoints';
  readonly #context: ControllerContext;
  readonly #caches: Caches;

  constructor(context: ControllerContext, caches: Caches) {
    this.#context = context;
    this.#caches = caches;
  }

  observe(key: string): ObservedEndpoints {
    const { name, namespace = '' } = refOf(key);
    const slices = this.#caches.slices.indexed(sliceIndex, key).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    const keptBy = (keeper: string): Stored<k8s.EndpointSlice>[] => slices.filter(({ metadata }) => metadata.labels?.[managedByLabel] === keeper);
    return { name, namespace, service: this.#caches.services.get(key), endpoints: this.#caches.endpoints.get(key), slices: keptBy(managedBy), mirrored: keptBy(mirroredBy) };
  }

  plan(observed: ObservedEndpoints): Plan<EndpointsAction, never> {
    return planEndpoints(observed);
  }

  async act(action: EndpointsAction, _observed: ObservedEndpoints, signal: AbortSignal): Promise<void> {
    try {
      await this.#write(action, signal);
    } catch (error) {
      // Made by the pass before, or gone already: the watch brings it and the key comes again.
      if (!isError(error, action.type.startsWith('create') ? 'already-exists' : 'not-found')) throw error;
    }
  }

  async #write(action: EndpointsAction, signal: AbortSignal): Promise<void> {
    const { client } = this.#context;
    switch (action.type) {
      case 'create-endpoints':
        return void (await client.create(resources.endpoints, action.endpoints, signal));
      case 'update-endpoints':
        return void (await client.update(resources.endpoints, action.endpoints, signal));
      case 'delete-endpoints':
        return client.delete(resources.endpoints, refOf(keyOf(action.endpoints)), { preconditions: { uid: action.endpoints.metadata.uid } }, signal);
      case 'create-slice':
        return void (await client.create(resources.endpointSlices, action.slice, signal));
      case 'update-slice':
        return void (await client.update(resources.endpointSlices, action.slice, signal));
      case 'delete-slice':
        return client.delete(resources.endpointSlices, refOf(keyOf(action.slice)), { preconditions: { uid: action.slice.metadata.uid } }, signal);
    }
  }
}
