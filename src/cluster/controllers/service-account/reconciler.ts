import { type k8s, keyOf, type KubeObject, resources, type ResourceType, type Stored } from '../../../api/mod.ts';
import { Controller, type Informer, type Plan, type Reconciler } from '../../../client/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import type { ControllerSettings } from '../config.ts';
import type { ControllerContext } from '../context.ts';

/** What every namespace has. */
export interface ObservedNamespaceDefaults {
  readonly namespace: Stored<k8s.Namespace>;
  readonly hasServiceAccount: boolean;
  readonly rootCertificates: k8s.ConfigMap | undefined;
  /** PEM of the API server's authority; undefined when it is not to be published. */
  readonly clusterCa: string | undefined;
}

export type DefaultsAction = { type: 'create-service-account' } | { type: 'create-root-certificates'; ca: string } | { type: 'update-root-certificates'; ca: string };

const rootCertificatesName = 'kube-root-ca.crt';

/** Gives every namespace its service account `default` and the ConfigMap by which pods trust the API server. */
export function serviceAccountController(context: ControllerContext, settings: ControllerSettings): Controller<ObservedNamespaceDefaults, DefaultsAction, never> {
  const namespaces = context.informers.of(resources.namespaces);
  const accounts = context.informers.of(resources.serviceAccounts);
  const configMaps = context.informers.of(resources.configMaps);
  const inNamespace = (name: string) => (object: Stored<KubeObject>): string[] => (object.metadata.name === name ? [object.metadata.namespace ?? ''] : []);
  return new Controller(new NamespaceDefaultsReconciler(context, settings, { namespaces, accounts, configMaps }), { ...context.controllerOptions }, context.log)
    .watch(namespaces)
    .watch(accounts, inNamespace('default'))
    .watch(configMaps, inNamespace(rootCertificatesName));
}

/** Pure. A namespace that is going takes nothing new. */
export function planNamespaceDefaults({ namespace, hasServiceAccount, rootCertificates, clusterCa }: ObservedNamespaceDefaults): Plan<DefaultsAction, never> {
  if (namespace.metadata.deletionTimestamp !== undefined) return { actions: [] };
  const actions: DefaultsAction[] = hasServiceAccount ? [] : [{ type: 'create-service-account' }];
  if (clusterCa === undefined) return { actions };
  if (rootCertificates === undefined) actions.push({ type: 'create-root-certificates', ca: clusterCa });
  else if (rootCertificates.data?.['ca.crt'] !== clusterCa) actions.push({ type: 'update-root-certificates', ca: clusterCa });
  return { actions };
}

interface Caches {
  readonly namespaces: Informer<k8s.Namespace>;
  readonly accounts: Informer<k8s.ServiceAccount>;
  readonly configMaps: Informer<k8s.ConfigMap>;
}

class NamespaceDefaultsReconciler implements Reconciler<ObservedNamespaceDefaults, DefaultsAction, never> {
  readonly name = 'service-account';
  readonly #context: ControllerContext;
  readonly #settings: ControllerSettings;
  readonly #caches: Caches;

  constructor(context: ControllerContext, settings: ControllerSettings, caches: Caches) {
    this.#context = context;
    this.#settings = settings;
    this.#caches = caches;
  }

  observe(name: string): ObservedNamespaceDefaults | undefined {
    const namespace = this.#caches.namespaces.get(name);
    if (namespace === undefined) return undefined;
    return {
      namespace,
      hasServiceAccount: this.#caches.accounts.get(keyOf({ namespace: name, name: 'default' })) !== undefined,
      rootCertificates: this.#caches.configMaps.get(keyOf({ namespace: name, name: rootCertificatesName })),
      clusterCa: this.#settings.clusterCa,
    };
  }

  plan(observed: ObservedNamespaceDefaults): Plan<DefaultsAction, never> {
    return planNamespaceDefaults(observed);
  }

  async act(action: DefaultsAction, { namespace }: ObservedNamespaceDefaults, signal: AbortSignal): Promise<void> {
    const { client } = this.#context;
    const place = { namespace: namespace.metadata.name };
    switch (action.type) {
      case 'create-service-account':
        return this.#create(resources.serviceAccounts, { metadata: { ...place, name: 'default' } }, signal);
      case 'create-root-certificates':
        return this.#create<k8s.ConfigMap>(resources.configMaps, { metadata: { ...place, name: rootCertificatesName }, data: { 'ca.crt': action.ca } }, signal);
      case 'update-root-certificates':
        await client.patch(resources.configMaps, { ...place, name: rootCertificatesName }, { type: 'merge', body: { data: { 'ca.crt': action.ca } } }, signal);
    }
  }

  async #create<T extends KubeObject>(type: ResourceType<T>, object: T, signal: AbortSignal): Promise<void> {
    try {
      await this.#context.client.create(type, object, signal);
    } catch (error) {
      if (!isError(error, 'already-exists')) throw error;
    }
  }
}
