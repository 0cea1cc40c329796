import { type k8s, keyOf, resources } from '../../api/mod.ts';
import type { Informer, Informers, KubeClient } from '../../client/mod.ts';
import { GantryError, isError } from '../../kernel/mod.ts';
import type { ConfigSource } from './config-source.ts';

/** Configuration from the process's caches; what they lack is asked of the API, since a pod may come a moment before its ConfigMap does. */
export class CachedConfigSource implements ConfigSource {
  readonly configMaps: Informer<k8s.ConfigMap>;
  readonly secrets: Informer<k8s.Secret>;
  readonly allocatable: ConfigSource['allocatable'];
  readonly #services: Informer<k8s.Service>;
  readonly #client: KubeClient;

  constructor(client: KubeClient, informers: Informers, allocatable: ConfigSource['allocatable']) {
    this.#client = client;
    this.configMaps = informers.of(resources.configMaps);
    this.secrets = informers.of(resources.secrets);
    this.#services = informers.of(resources.services);
    this.allocatable = allocatable;
  }

  async configMap(namespace: string, name: string, signal: AbortSignal): Promise<k8s.ConfigMap | undefined> {
    const key = keyOf({ namespace, name });
    return this.configMaps.get(key) ?? (await orUndefined(this.#client.get(resources.configMaps, { namespace, name }, signal)));
  }

  async secret(namespace: string, name: string, signal: AbortSignal): Promise<k8s.Secret | undefined> {
    const key = keyOf({ namespace, name });
    return this.secrets.get(key) ?? (await orUndefined(this.#client.get(resources.secrets, { namespace, name }, signal)));
  }

  services(namespace: string): readonly k8s.Service[] {
    return this.#services.list(namespace);
  }

  async serviceAccountToken(pod: k8s.Pod, request: { audience?: string; expirationSeconds?: number }, signal: AbortSignal): Promise<{ token: string; expiresAtMs: number }> {
    const { namespace = 'default', name = '', uid = '' } = pod.metadata ?? {};
    const account = pod.spec?.serviceAccountName ?? pod.spec?.serviceAccount ?? 'default';
    const body = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        audiences: request.audience === undefined ? [] : [request.audience],
        expirationSeconds: request.expirationSeconds ?? 3600,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      },
    };
    const answer = (await this.#client.request('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`, body, signal)) as k8s.TokenRequest;
    const token = answer.status?.token;
    if (token === undefined) throw new GantryError('unavailable', `the API gave no token for service account ${account}`);
    return { token, expiresAtMs: Date.parse(answer.status?.expirationTimestamp ?? '') || Date.now() + 3_600_000 };
  }
}

async function orUndefined<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isError(error, 'not-found')) return undefined;
    throw error;
  }
}
