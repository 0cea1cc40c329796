import type { Engine } from '../../engine.ts';
import type { ContainerRecord, NetworkRecord } from '../../types.ts';
import { endpointId } from './container.ts';

/** A network as list and inspect answer it. `isDetailed` adds the containers. */
export function networkView(network: NetworkRecord, containers: readonly ContainerRecord[], isDetailed: boolean): Record<string, unknown> {
  const { spec } = network;
  return {
    Name: spec.name,
    Id: network.id,
    Created: network.createdAt,
    Scope: 'local',
    Driver: 'bridge',
    EnableIPv4: true,
    EnableIPv6: network.ipv6 !== undefined,
    IPAM: { Driver: 'default', Options: {}, Config: ipamView(network) },
    Internal: spec.isInternal,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: isDetailed ? Object.fromEntries(containers.flatMap((container) => endpointEntries(container, network.id))) : {},
    // Of networks that clients made only what they asked for: docker-compose makes anew what has other options than its file.
    Options: { ...(network.kind === 'default' ? { 'com.docker.network.bridge.name': network.bridgeName } : {}), ...spec.options },
    Labels: spec.labels,
  };
}

function ipamView({ subnet, gateway, ipv6, spec }: NetworkRecord): Record<string, unknown>[] {
  const reserved = Object.entries(spec.reservedAddresses ?? {});
  const config = (range: { subnet: string; gateway: string; addressRange?: string | undefined }, isIpv6: boolean): Record<string, unknown> => {
    const own = reserved.filter(([, address]) => address.includes(':') === isIpv6);
    return { Subnet: range.subnet, Gateway: range.gateway, ...(range.addressRange === undefined ? {} : { IPRange: range.addressRange }), ...(own.length === 0 ? {} : { AuxiliaryAddresses: Object.fromEntries(own) }) };
  };
  return [config({ subnet, gateway, addressRange: spec.addressRange }, false), ...(ipv6 === undefined ? [] : [config(ipv6, true)])];
}

function endpointEntries(container: ContainerRecord, networkId: string): [string, Record<string, string>][] {
  return container.status.endpoints
    .filter((endpoint) => endpoint.networkId === networkId)
    .map((endpoint) => [container.id, {
      Name: container.spec.name, EndpointID: endpointId(container, endpoint), MacAddress: endpoint.macAddress, IPv4Address: `${endpoint.ipv4Address}/${endpoint.prefixLength}`, IPv6Address: endpoint.ipv6 === undefined ? '' : `${endpoint.ipv6.address}/${endpoint.ipv6.prefixLength}`,
    }]);
}

/** `host` and `none`, which every Docker has and which are no bridges. */
export function builtInNetworks(engine: Engine): Record<string, unknown>[] {
  return ['host', 'none'].map((name) => ({
    Name: name, Id: `${engine.info.instanceId}${name === 'host' ? 'b' : 'c'}`.padEnd(64, '0'), Created: '0001-01-01T00:00:00Z', Scope: 'local', Driver: name === 'none' ? 'null' : 'host', EnableIPv4: true, EnableIPv6: false,
    IPAM: { Driver: 'default', Options: null, Config: [] }, Internal: false, Attachable: false, Ingress: false, ConfigFrom: { Network: '' }, ConfigOnly: false, Containers: {}, Options: {}, Labels: {},
  }));
}
