import { GantryError } from '../../kernel/mod.ts';
import type { EventLog } from '../events/event-log.ts';
import type { GatewayPlan } from '../networks/gateway-plan.ts';
import type { NetworkManager } from '../networks/network-manager.ts';
import type { EndpointSpec, EndpointStatus, PortBinding } from '../types.ts';
import { updateEtcFiles } from './container-etc.ts';
import type { ContainerEntry } from './container-entry.ts';
import type { ContainerStore } from './container-store.ts';

export interface NetworkChangeParts {
  readonly networks: NetworkManager;
  readonly store: ContainerStore;
  readonly events: EventLog;
}

/** Joins a container to a further network: at once when it runs, with its next start in any case. `conflict` when it is in it already. */
export async function connectContainer(parts: NetworkChangeParts, entry: ContainerEntry, networkName: string, endpoint: Omit<EndpointSpec, 'network'>): Promise<void> {
  const { networks, events } = parts;
  const network = networks.get(networkName);
  if (network.kind === 'pod') throw new GantryError('forbidden', `${network.spec.name} is the pods' network`);
  await entry.lock.run(async () => {
    const endpoints = bridgeEndpoints(entry);
    if (endpoints.some((existing) => networks.find(existing.network)?.id === network.id)) {
      throw new GantryError('conflict', `endpoint with name ${entry.spec.name} already exists in network ${network.spec.name}`);
    }
    const wanted = [...endpoints, { ...endpoint, network: network.id }];
    if (!entry.isRunning) return save(parts, entry, wanted, entry.status.endpoints, entry.status.ports);
    const { endpoints: before } = entry.status;
    const joined = networks.connect(namespaceFile(parts, entry), { ...endpoint, network: network.id }, networks.nextInterfaceName(network.id, before), false);
    try {
      await adjust(parts, entry, wanted, [...before, joined]);
    } catch (error) {
      await networks.disconnect(namespaceFile(parts, entry), joined);
      throw error;
    }
  });
  events.publish({ type: 'network', action: 'connect', id: network.id, attributes: { container: entry.id, name: network.spec.name, type: 'bridge' } });
}

/** Takes a container out of a network. `conflict` when it is not in it. */
export async function disconnectContainer(parts: NetworkChangeParts, entry: ContainerEntry, networkName: string): Promise<void> {
  const { networks, events } = parts;
  const network = networks.get(networkName);
  await entry.lock.run(async () => {
    const endpoints = bridgeEndpoints(entry);
    const wanted = endpoints.filter((existing) => networks.find(existing.network)?.id !== network.id);
    if (wanted.length === endpoints.length) throw new GantryError('conflict', `container ${entry.id} is not connected to network ${network.spec.name}`);
    const left = entry.status.endpoints.find(({ networkId }) => networkId === network.id);
    if (left === undefined || !entry.isRunning) return save(parts, entry, wanted, entry.status.endpoints, entry.status.ports);
    await networks.disconnect(namespaceFile(parts, entry), left);
    await adjust(parts, entry, wanted, entry.status.endpoints.filter((other) => other !== left));
  });
  events.publish({ type: 'network', action: 'disconnect', id: network.id, attributes: { container: entry.id, name: network.spec.name, type: 'bridge' } });
}

/** What follows from the endpoints of a running container: its way out, where its ports lead, who answers names, its files. */
async function adjust(parts: NetworkChangeParts, entry: ContainerEntry, wanted: readonly EndpointSpec[], after: readonly EndpointStatus[]): Promise<void> {
  const { networks } = parts;
  const { endpoints: before } = entry.status;
  const file = namespaceFile(parts, entry);
  const plan = networks.planGateways(after, wanted);
  networks.route(file, plan);
  const ports = await movePorts(networks, entry, networks.planGateways(before, bridgeEndpoints(entry)), plan);
  await networks.serveNames(entry.id, file, after);
  await updateEtcFiles(entry, { before: { endpoints: before, hasNames: networks.hasNames(before) }, after: { endpoints: after, hasNames: networks.hasNames(after) } }, networks.hostDns());
  await save(parts, entry, wanted, after, ports);
}

/** Published ports lead to the gateways' endpoints; they keep the host ports that were chosen. */
async function movePorts(networks: NetworkManager, { id, spec, status }: ContainerEntry, before: GatewayPlan, after: GatewayPlan): Promise<readonly PortBinding[]> {
  const isSame = before.ipv4?.ipv4Address === after.ipv4?.ipv4Address && before.ipv6?.ipv6?.address === after.ipv6?.ipv6?.address;
  if (isSame) return status.ports;
  await networks.publications.unpublish(id);
  return networks.publish(id, status.ports.length > 0 ? status.ports : spec.ports, after);
}

async function save({ store }: NetworkChangeParts, entry: ContainerEntry, wanted: readonly EndpointSpec[], endpoints: readonly EndpointStatus[], ports: readonly PortBinding[]): Promise<void> {
  entry.change({ spec: { network: { mode: 'bridge', endpoints: [...wanted] } }, status: { endpoints, ports } });
  await store.save(entry.record, true);
}

function namespaceFile({ networks }: NetworkChangeParts, { id }: ContainerEntry): string {
  return networks.namespaceFile(id.slice(0, 16));
}

function bridgeEndpoints(entry: ContainerEntry): readonly EndpointSpec[] {
  const { network } = entry.spec;
  if (network.mode !== 'bridge') throw new GantryError('conflict', `container ${entry.id} does not use bridge networks and cannot be connected to another network`);
  return network.endpoints;
}
