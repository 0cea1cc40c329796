import { GantryError } from '../../kernel/mod.ts';
import type { EventLog } from '../events/event-log.ts';
import type { NetworkManager } from '../networks/network-manager.ts';
import type { EndpointSpec } from '../types.ts';
import type { ContainerEntry } from './container-entry.ts';
import type { ContainerStore } from './container-store.ts';

export interface NetworkChangeParts {
  readonly networks: NetworkManager;
  readonly store: ContainerStore;
  readonly events: EventLog;
}

/** Joins a container to a further network: at once when it runs, with its next start in any case. `conflict` when it is in it already. */
export async function connectContainer({ networks, store, events }: NetworkChangeParts, entry: ContainerEntry, networkName: string, endpoint: Omit<EndpointSpec, 'network'>): Promise<void> {
  const network = networks.get(networkName);
  if (network.kind === 'pod') throw new GantryError('forbidden', `${network.spec.name} is the pods' network`);
  await entry.lock.run(async () => {
    const endpoints = bridgeEndpoints(entry);
    if (endpoints.some((existing) => networks.find(existing.network)?.id === network.id)) {
      throw new GantryError('conflict', `endpoint with name ${entry.spec.name} already exists in network ${network.spec.name}`);
    }
    const wanted: EndpointSpec = { ...endpoint, network: network.id };
    if (entry.isRunning) {
      const file = networks.namespaceFile(entry.id.slice(0, 16));
      const joined = networks.connect(file, wanted, nextInterfaceName(entry), entry.status.endpoints.length === 0);
      entry.change({ status: { endpoints: [...entry.status.endpoints, joined] } });
    }
    entry.change({ spec: { network: { mode: 'bridge', endpoints: [...endpoints, wanted] } } });
    await store.save(entry.record, true);
  });
  events.publish({ type: 'network', action: 'connect', id: network.id, attributes: { container: entry.id, name: network.spec.name, type: 'bridge' } });
}

/** Takes a container out of a network. `conflict` when it is not in it. */
export async function disconnectContainer({ networks, store, events }: NetworkChangeParts, entry: ContainerEntry, networkName: string): Promise<void> {
  const network = networks.get(networkName);
  await entry.lock.run(async () => {
    const endpoints = bridgeEndpoints(entry);
    const kept = endpoints.filter((existing) => networks.find(existing.network)?.id !== network.id);
    if (kept.length === endpoints.length) throw new GantryError('conflict', `container ${entry.id} is not connected to network ${network.spec.name}`);
    const joined = entry.status.endpoints.find(({ networkId }) => networkId === network.id);
    if (joined !== undefined) {
      await networks.disconnect(networks.namespaceFile(entry.id.slice(0, 16)), joined);
      entry.change({ status: { endpoints: entry.status.endpoints.filter((other) => other !== joined) } });
    }
    entry.change({ spec: { network: { mode: 'bridge', endpoints: kept } } });
    await store.save(entry.record, true);
  });
  events.publish({ type: 'network', action: 'disconnect', id: network.id, attributes: { container: entry.id, name: network.spec.name, type: 'bridge' } });
}

function bridgeEndpoints(entry: ContainerEntry): readonly EndpointSpec[] {
  const { network } = entry.spec;
  if (network.mode !== 'bridge') throw new GantryError('conflict', `container ${entry.id} does not use bridge networks and cannot be connected to another network`);
  return network.endpoints;
}

function nextInterfaceName(entry: ContainerEntry): string {
  const taken = new Set(entry.status.endpoints.map(({ interfaceName }) => interfaceName));
  for (let index = 0; ; index += 1) if (!taken.has(`eth${index}`)) return `eth${index}`;
}
