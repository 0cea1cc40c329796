import { apiVersionOf, type ResourceType, resources } from '../../api/mod.ts';
import type { KubeClient } from '../../client/mod.ts';
import { isError } from '../../kernel/mod.ts';
import type { ManifestObject } from './parse-manifests.ts';

/** The served kinds by `apiVersion` and `kind`, from the API's discovery and from definitions that come with the release. */
export class KindIndex {
  readonly #client: KubeClient;
  readonly #groups = new Map<string, Map<string, ResourceType>>();

  constructor(client: KubeClient) {
    this.#client = client;
    // What every cluster serves need not be asked for.
    for (const type of Object.values(resources)) if (type.group !== 'gantry.dev') this.#group(apiVersionOf(type)).set(type.kind, type);
  }

  /** Learns the kinds that a CustomResourceDefinition among the manifests is going to serve. */
  learn(objects: readonly ManifestObject[]): void {
    for (const object of objects) for (const type of definedKinds(object)) this.#group(`${type.group}/${type.version}`).set(type.kind, type);
  }

  /** Undefined when the API serves no such kind. */
  async find(apiVersion: string, kind: string, signal: AbortSignal): Promise<ResourceType | undefined> {
    const known = this.#groups.get(apiVersion)?.get(kind);
    if (known !== undefined) return known;
    await this.#discover(apiVersion, signal);
    return this.#group(apiVersion).get(kind);
  }

  async #discover(apiVersion: string, signal: AbortSignal): Promise<void> {
    const [group, version] = apiVersion.includes('/') ? (apiVersion.split('/', 2) as [string, string]) : ['', apiVersion];
    try {
      const answer = (await this.#client.request('GET', group === '' ? `/api/${version}` : `/apis/${group}/${version}`, undefined, signal)) as DiscoveryAnswer;
      for (const { name, kind, namespaced } of answer.resources ?? []) {
        if (!name.includes('/')) this.#group(apiVersion).set(kind, { group, version, plural: name, kind, isNamespaced: namespaced });
      }
    } catch (error) {
      if (!isError(error, 'not-found')) throw error;
    }
  }

  #group(apiVersion: string): Map<string, ResourceType> {
    const group = this.#groups.get(apiVersion) ?? new Map<string, ResourceType>();
    this.#groups.set(apiVersion, group);
    return group;
  }
}

/** APIResourceList (Kubernetes API concepts, "API discovery"). */
interface DiscoveryAnswer { resources?: { name: string; kind: string; namespaced: boolean }[] }

interface DefinitionSpec { group?: string; scope?: string; names?: { plural?: string; kind?: string }; versions?: { name?: string; served?: boolean }[] }

/** The kinds a CustomResourceDefinition serves; none for any other object. */
export function definedKinds(object: ManifestObject): ResourceType[] {
  if (object.kind !== 'CustomResourceDefinition') return [];
  const { group, scope, names, versions } = (object['spec'] ?? {}) as DefinitionSpec;
  if (group === undefined || names?.plural === undefined || names.kind === undefined) return [];
  const { plural, kind } = names;
  return (versions ?? []).flatMap(({ name, served }) => (name === undefined || served === false ? [] : [{ group, version: name, plural, kind, isNamespaced: scope !== 'Cluster' }]));
}
