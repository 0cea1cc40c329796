import { shortHash } from '../../../kernel/mod.ts';
import type { ConnectHandler } from '../connect/connect-handler.ts';
import type { Exchange } from '../handlers/exchange.ts';
import type { KindRegistry } from '../kinds/registry.ts';
import type { DiscoveredResource, VirtualResource } from '../kinds/virtual.ts';
import { sendJson, sendText } from '../requests/respond.ts';
import { discoverGroups, type DiscoveredGroup } from './resource-list.ts';

const serverAddresses = [{ clientCIDR: '0.0.0.0/0', serverAddress: '' }];

/** Answers `/api`, `/apis` and what lies under them but is no resource; false for any other path. */
export async function serveDiscovery(kinds: KindRegistry, virtual: readonly VirtualResource[], connects: ConnectHandler, exchange: Exchange): Promise<boolean> {
  const { request, response, info } = exchange;
  const parts = info.path.split('/').filter((part) => part !== '');
  const [root, ...rest] = parts;
  if (info.verb !== 'get' || (root !== 'api' && root !== 'apis')) return false;
  const groups = discoverGroups(kinds, virtual, connects);
  if (rest.length === 0) {
    const isLegacy = root === 'api';
    const aggregatedVersion = aggregated(request.headers.accept);
    const shown = groups.filter(({ group }) => (group === '') === isLegacy);
    if (aggregatedVersion !== undefined) await sendAggregated(exchange, shown, aggregatedVersion);
    else await sendJson(request, response, 200, isLegacy ? { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: serverAddresses } : { kind: 'APIGroupList', apiVersion: 'v1', groups: shown.map(groupDocument) });
    return true;
  }
  const [group = '', version] = root === 'api' ? ['', rest[0]] : [rest[0], rest[1]];
  const found = groups.find((candidate) => candidate.group === group);
  if (found === undefined || rest.length > (root === 'api' ? 1 : 2)) return false;
  if (version === undefined) {
    await sendJson(request, response, 200, { kind: 'APIGroup', apiVersion: 'v1', ...groupDocument(found) });
    return true;
  }
  const served = found.versions.find((candidate) => candidate.version === version);
  if (served === undefined) return false;
  await sendJson(request, response, 200, { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: groupVersion(group, version), resources: served.resources.flatMap(resourceDocuments) });
  return true;
}

function groupVersion(group: string, version: string): string {
  return group === '' ? version : `${group}/${version}`;
}

/** The version of aggregated discovery that an Accept header asks for; undefined when it wants the plain form. */
function aggregated(accept: string | undefined): string | undefined {
  const clause = (accept ?? '').split(',').find((part) => part.includes('as=APIGroupDiscoveryList') && part.includes('application/json') && part.includes('g=apidiscovery.k8s.io'));
  return clause === undefined ? undefined : /v=(v2(?:beta1)?)(?:;|$|\s)/.exec(`${clause};`)?.[1];
}

async function sendAggregated({ request, response }: Exchange, groups: readonly DiscoveredGroup[], version: string): Promise<void> {
  const items = groups.map(({ group, versions }) => ({
    metadata: { name: group, creationTimestamp: null },
    versions: versions.map((served) => ({ version: served.version, resources: served.resources.map(aggregatedResource), freshness: 'Current' })),
  }));
  const text = JSON.stringify({ kind: 'APIGroupDiscoveryList', apiVersion: `apidiscovery.k8s.io/${version}`, metadata: {}, items });
  const etag = `"${shortHash(text, 32)}"`;
  response.setHeader('etag', etag);
  response.setHeader('vary', 'Accept');
  if (request.headers['if-none-match'] === etag) return void response.writeHead(304).end();
  await sendText(request, response, 200, text, `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`);
}

function aggregatedResource(resource: DiscoveredResource): unknown {
  return {
    resource: resource.plural,
    responseKind: { group: resource.group, version: resource.version, kind: resource.kind },
    scope: resource.isNamespaced ? 'Namespaced' : 'Cluster',
    singularResource: resource.singular,
    verbs: resource.verbs,
    ...(resource.shortNames.length === 0 ? {} : { shortNames: resource.shortNames }),
    ...(resource.categories.length === 0 ? {} : { categories: resource.categories }),
    ...(resource.subresources.length === 0 ? {} : { subresources: resource.subresources.map(({ name, group, version, kind, verbs }) => ({ subresource: name, responseKind: { group, version, kind }, verbs })) }),
  };
}

function groupDocument({ group, versions }: DiscoveredGroup): { name: string; versions: unknown[]; preferredVersion: unknown } {
  const documents = versions.map(({ version }) => ({ groupVersion: groupVersion(group, version), version }));
  return { name: group, versions: documents, preferredVersion: documents[0] };
}

function resourceDocuments(resource: DiscoveredResource): unknown[] {
  const { plural, singular, kind, isNamespaced, verbs, shortNames, categories } = resource;
  return [
    { name: plural, singularName: singular, namespaced: isNamespaced, kind, verbs, ...(shortNames.length === 0 ? {} : { shortNames }), ...(categories.length === 0 ? {} : { categories }) },
    ...resource.subresources.map((sub) => ({
      name: `${plural}/${sub.name}`,
      singularName: '',
      namespaced: isNamespaced,
      ...(sub.group === resource.group && sub.version === resource.version ? {} : { group: sub.group, version: sub.version }),
      kind: sub.kind,
      verbs: sub.verbs,
    })),
  ];
}
