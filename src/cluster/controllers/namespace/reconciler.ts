import { type k8s, keyOf, type KubeObject, refOf, resources, type ResourceType, type Stored } from '../../../api/mod.ts';
import { Controller, discoverResources, type Informer, type Plan, type Reconciler } from '../../../client/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import type { ControllerContext } from '../context.ts';
import { writeStatus } from '../write-status.ts';
import { type NamespaceAction, type ObservedNamespace, planNamespace } from './plan.ts';

const kind = resources.namespaces;

/** Deletes the content of namespaces that are being deleted. */
export function namespaceController(context: ControllerContext): Controller<ObservedNamespace, NamespaceAction, k8s.NamespaceStatus> {
  const namespaces = context.informers.of(kind);
  const isGoing = (name: string): boolean => namespaces.get(name)?.metadata.deletionTimestamp !== undefined;
  return new Controller(new NamespaceReconciler(context, namespaces), { ...context.controllerOptions }, context.log)
    .watch(namespaces)
    .watch(context.informers.of(resources.pods), ({ metadata }) => (isGoing(metadata.namespace ?? '') ? [metadata.namespace ?? ''] : []), ({ type }) => type === 'deleted');
}

class NamespaceReconciler implements Reconciler<ObservedNamespace, NamespaceAction, k8s.NamespaceStatus> {
  readonly name = 'namespace';
  readonly #context: ControllerContext;
  readonly #namespaces: Informer<k8s.Namespace>;

  constructor(context: ControllerContext, namespaces: Informer<k8s.Namespace>) {
    this.#context = context;
    this.#namespaces = namespaces;
  }

  async observe(name: string, signal: AbortSignal): Promise<ObservedNamespace | undefined> {
    const namespace = this.#namespaces.get(name);
    if (namespace?.metadata.deletionTimestamp === undefined) return undefined;
    if (namespace.spec?.finalizers?.includes('kubernetes') !== true) return undefined;
    const types = (await discoverResources(this.#context.client, signal)).filter(({ isNamespaced, verbs }) => isNamespaced && verbs.includes('list') && verbs.includes('delete'));
    const contents = await Promise.all(types.map(async (type) => ({ type, objects: await this.#list(type, name, signal) })));
    return { namespace, contents, nowMs: this.#context.clock.now() };
  }

  plan(observed: ObservedNamespace): Plan<NamespaceAction, k8s.NamespaceStatus> {
    return planNamespace(observed);
  }

  async act(action: NamespaceAction, { namespace }: ObservedNamespace, signal: AbortSignal): Promise<void> {
    const { client } = this.#context;
    if (action.type === 'delete') {
      await Promise.all(action.objects.map((object) => client.delete(action.resource, refOf(keyOf(object)), { propagationPolicy: 'Background', preconditions: { uid: object.metadata.uid } }, signal)));
      return;
    }
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata: namespace.metadata, spec: { finalizers: action.finalizers } };
    try {
      await client.request('PUT', `/api/v1/namespaces/${encodeURIComponent(namespace.metadata.name)}/finalize`, body, signal);
    } catch (error) {
      if (!isError(error, 'not-found')) throw error;
    }
  }

  report(status: k8s.NamespaceStatus, { namespace }: ObservedNamespace, signal: AbortSignal): Promise<void> {
    return writeStatus(this.#context.client, kind, namespace, status, signal);
  }

  async #list(type: ResourceType, namespace: string, signal: AbortSignal): Promise<Stored<KubeObject>[]> {
    try {
      return (await this.#context.client.list(type, { namespace }, signal)).items;
    } catch (error) {
      // A custom kind that went between discovery and now, with all its objects.
      if (isError(error, 'not-found', 'unsupported')) return [];
      throw error;
    }
  }
}
