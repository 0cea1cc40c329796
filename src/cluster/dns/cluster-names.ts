import { type k8s, resources, type Stored } from '../../api/mod.ts';
import type { Informers } from '../../client/mod.ts';
import type { ClusterNames } from './records.ts';

/** The names of the cluster, read from shared informers. Make it before the informers run. */
export function namesFromInformers(informers: Informers): ClusterNames {
  const services = informers.of(resources.services);
  const slices = informers.of(resources.endpointSlices);
  const namespaces = informers.of(resources.namespaces);
  const slicesByService = new Map<string, Map<string, Stored<k8s.EndpointSlice>>>();
  const slicesByAddress = new Map<string, Map<string, Stored<k8s.EndpointSlice>>>();
  const servicesByAddress = new Map<string, Stored<k8s.Service>>();
  slices.onChange((change) => {
    const { name } = change.object.metadata;
    const key = serviceKeyOf(change.object);
    if (change.type === 'modified' && serviceKeyOf(change.previous) !== key) slicesByService.get(serviceKeyOf(change.previous))?.delete(name);
    const known = slicesByService.get(key) ?? new Map<string, Stored<k8s.EndpointSlice>>();
    if (change.type === 'deleted') known.delete(name);
    else known.set(name, change.object);
    if (known.size === 0) slicesByService.delete(key);
    else slicesByService.set(key, known);
    const own = `${change.object.metadata.namespace ?? ''}/${name}`;
    for (const address of addressesOf(change.type === 'modified' ? change.previous : change.object)) {
      slicesByAddress.get(address)?.delete(own);
      if (slicesByAddress.get(address)?.size === 0) slicesByAddress.delete(address);
    }
    if (change.type === 'deleted') return;
    for (const address of addressesOf(change.object)) slicesByAddress.set(address, (slicesByAddress.get(address) ?? new Map<string, Stored<k8s.EndpointSlice>>()).set(own, change.object));
  });
  services.onChange((change) => {
    const previous = change.type === 'modified' ? change.previous : change.object;
    for (const ip of previous.spec?.clusterIPs ?? []) servicesByAddress.delete(ip);
    if (change.type === 'deleted') return;
    for (const ip of change.object.spec?.clusterIPs ?? []) if (ip !== 'None') servicesByAddress.set(ip, change.object);
  });
  return {
    service: (namespace, name) => services.get(`${namespace}/${name}`),
    slicesOf: (namespace, service) => [...(slicesByService.get(`${namespace}/${service}`)?.values() ?? [])],
    hasNamespace: (name) => namespaces.get(name) !== undefined,
    slicesOfAddress: (ip) => [...(slicesByAddress.get(ip)?.values() ?? [])],
    serviceOfAddress: (ip) => servicesByAddress.get(ip),
  };
}

function serviceKeyOf(slice: k8s.EndpointSlice): string {
  return `${slice.metadata?.namespace ?? ''}/${slice.metadata?.labels?.['kubernetes.io/service-name'] ?? ''}`;
}

function addressesOf({ endpoints = [] }: k8s.EndpointSlice): string[] {
  return endpoints.flatMap(({ addresses }) => addresses);
}
