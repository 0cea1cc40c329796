import { isError } from '../kernel/mod.ts';
import { formatIp, ipBytes } from './ip-bytes.ts';
import { withinNamespaces } from './namespaces.ts';
import {
  addressHeader,
  attribute,
  decodeAttributes,
  decodeMessages,
  encodeAttribute,
  encodeMessage,
  encodeNested,
  encodeText,
  encodeU32,
  linkHeader,
  netlink,
  type NetlinkMessage,
  routeHeader,
} from './netlink-message.ts';
import { descriptors, systemError } from './syscalls.ts';

export interface Link { readonly index: number; readonly name: string; readonly macAddress: string; readonly isUp: boolean; readonly masterIndex: number | undefined; /** Of a veth: the other end's index, in its namespace. */ readonly peerIndex: number | undefined }

/**
 * Network interfaces of one network namespace through rtnetlink(7), synchronously: about 0.1 ms a call where `ip` takes 5 ms.
 * The namespace is the one this thread is in when it is opened, whatever the thread does later.
 */
export class LinkTable implements Disposable {
  readonly #fd: number;
  #sequence = 0;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  static open(): LinkTable {
    const [familyNetlink, raw, closeOnExec] = [16, 3, 0o2000000];
    const fd = descriptors.socket(familyNetlink, raw | closeOnExec, 0);
    const address = Buffer.alloc(12);
    address.writeUInt16LE(familyNetlink, 0);
    descriptors.bind(fd, address);
    return new LinkTable(fd);
  }

  list(): Link[] {
    return this.#request('list links', netlink.getLink, netlink.dump, linkHeader(0), []).map(toLink);
  }

  /** Undefined when there is none of that name. */
  find(name: string): Link | undefined {
    try {
      return this.#request(name, netlink.getLink, netlink.acknowledge, linkHeader(0), [encodeText(attribute.linkName, name)]).map(toLink)[0];
    } catch (error) {
      if (isError(error) && error.details.errno === 'ENODEV') return undefined;
      throw error;
    }
  }

  /** A bridge that forwards at once. `already-exists` when the name is taken. */
  createBridge(name: string, macAddress?: string, mtu?: number): void {
    const info = encodeNested(attribute.linkInfo, [encodeText(attribute.linkInfoKind, 'bridge')]);
    this.#change(`bridge ${name}`, netlink.newLink, netlink.create | netlink.exclusive, linkHeader(0), [
      encodeText(attribute.linkName, name),
      ...(macAddress === undefined ? [] : [encodeAttribute(attribute.linkAddress, macBytes(macAddress))]),
      ...(mtu === undefined ? [] : [encodeU32(attribute.linkMtu, mtu)]),
      info,
    ]);
  }

  /** A veth pair: `name` here, attached to the bridge and up; the peer in the namespace of `peerNamespaceFd`. */
  createVeth(name: string, bridgeIndex: number, peer: { name: string; macAddress: string; namespaceFd: number }, mtu?: number): void {
    const size = mtu === undefined ? [] : [encodeU32(attribute.linkMtu, mtu)];
    const peerAttributes = [
      linkHeader(0),
      encodeText(attribute.linkName, peer.name),
      encodeAttribute(attribute.linkAddress, macBytes(peer.macAddress)),
      encodeU32(attribute.linkNetnsFd, peer.namespaceFd),
      ...size,
    ];
    const info = encodeNested(attribute.linkInfo, [
      encodeText(attribute.linkInfoKind, 'veth'),
      encodeNested(attribute.linkInfoData, [encodeNested(attribute.vethPeer, peerAttributes)]),
    ]);
    this.#change(`veth ${name}`, netlink.newLink, netlink.create | netlink.exclusive, linkHeader(0, true), [
      encodeText(attribute.linkName, name),
      encodeU32(attribute.linkMaster, bridgeIndex),
      ...size,
      info,
    ]);
  }

  setUp(index: number): void {
    this.#change(`link ${index}`, netlink.newLink, 0, linkHeader(index, true), []);
  }

  rename(index: number, name: string): void {
    this.#change(`link ${index}`, netlink.newLink, 0, linkHeader(index), [encodeText(attribute.linkName, name)]);
  }

  /** Attaches a link to a bridge; 0 takes it out of its bridge. */
  setMaster(index: number, bridgeIndex: number): void {
    this.#change(`link ${index}`, netlink.newLink, 0, linkHeader(index), [encodeU32(attribute.linkMaster, bridgeIndex)]);
  }

  /**
   * False when there is no such link. Removing one end of a veth pair removes the other. The kernel takes 20 to 70 ms, so it is asked on
   * another thread; nobody else may use this table meanwhile.
   */
  async removeSlowly(name: string): Promise<boolean> {
    const link = this.find(name);
    if (link === undefined) return false;
    this.#sequence += 1;
    const flags = netlink.request | netlink.acknowledge;
    await descriptors.sendElsewhere(this.#fd, encodeMessage(netlink.deleteLink, flags, this.#sequence, linkHeader(link.index), []));
    try {
      this.#answers(`link ${name}`, this.#sequence);
      return true;
    } catch (error) {
      if (isError(error) && error.details.errno === 'ENODEV') return false;
      throw error;
    }
  }

  /** Adds an IPv4 or IPv6 address, the latter usable at once (nobody else can have it); a no-op when the link has it. */
  addAddress(index: number, address: string, prefixLength: number): void {
    const bytes = ipBytes(address);
    this.#changeUnlessPresent(`address ${address}`, netlink.newAddress, addressHeader(prefixLength, index, bytes.length === 16), [
      encodeAttribute(attribute.addressLocal, bytes),
      encodeAttribute(attribute.addressAddress, bytes),
    ]);
  }

  /** Removes an address; a no-op when the link does not have it. */
  removeAddress(index: number, address: string, prefixLength: number): void {
    const bytes = ipBytes(address);
    try {
      this.#change(`address ${address}`, netlink.deleteAddress, 0, addressHeader(prefixLength, index, bytes.length === 16), [encodeAttribute(attribute.addressLocal, bytes)]);
    } catch (error) {
      if (!isError(error) || error.details.errno !== 'EADDRNOTAVAIL') throw error;
    }
  }

  /** The default route of the gateway's family, in place of another there may be; `isOnLink` when the link's own prefix does not cover the gateway. */
  setDefaultRoute(linkIndex: number, gateway: string, isOnLink: boolean): void {
    const bytes = ipBytes(gateway);
    this.#change(`default route ${gateway}`, netlink.newRoute, netlink.create | netlink.replace, routeHeader(0, false, isOnLink, bytes.length === 16), [
      encodeAttribute(attribute.routeGateway, bytes),
      encodeU32(attribute.routeOutputLink, linkIndex),
    ]);
  }

  /** Removes the default route of a family; a no-op without one. */
  removeDefaultRoute(isIpv6: boolean): void {
    try {
      this.#change('default route', netlink.deleteRoute, 0, routeHeader(0, false, false, isIpv6, true), []);
    } catch (error) {
      // None of the family, no table of the family yet, no such family.
      if (!isError(error) || !['ESRCH', 'ENOENT', 'EOPNOTSUPP'].includes(String(error.details.errno))) throw error;
    }
  }

  /** IP addresses of a link with their prefix lengths, those that the kernel made itself included. */
  addresses(index: number): { address: string; prefixLength: number }[] {
    return this.#request('list addresses', netlink.getAddress, netlink.dump, Buffer.alloc(8), []).flatMap(({ payload }) => {
      const attributes = decodeAttributes(payload, 8);
      const bytes = attributes.get(attribute.addressLocal) ?? attributes.get(attribute.addressAddress);
      return payload.readUInt32LE(4) !== index || bytes === undefined ? [] : [{ address: formatIp(bytes), prefixLength: payload.readUInt8(1) }];
    });
  }

  /** A route to a subnet that is reached directly over the link. */
  addLinkRoute(linkIndex: number, subnet: string, prefixLength: number): void {
    this.#changeUnlessPresent(`route ${subnet}/${prefixLength}`, netlink.newRoute, routeHeader(prefixLength, true, false), [
      encodeAttribute(attribute.routeDestination, ipBytes(subnet)),
      encodeU32(attribute.routeOutputLink, linkIndex),
    ]);
  }

  #changeUnlessPresent(subject: string, type: number, header: Buffer, attributes: readonly Buffer[]): void {
    try {
      this.#change(subject, type, netlink.create | netlink.exclusive, header, attributes);
    } catch (error) {
      if (!isError(error, 'already-exists')) throw error;
    }
  }

  #change(subject: string, type: number, flags: number, header: Buffer, attributes: readonly Buffer[]): void {
    this.#request(subject, type, flags | netlink.acknowledge, header, attributes);
  }

  #request(subject: string, type: number, flags: number, header: Buffer, attributes: readonly Buffer[]): NetlinkMessage[] {
    this.#sequence += 1;
    const sequence = this.#sequence;
    descriptors.send(this.#fd, encodeMessage(type, netlink.request | flags, sequence, header, attributes));
    return this.#answers(subject, sequence);
  }

  #answers(subject: string, sequence: number): NetlinkMessage[] {
    const answers: NetlinkMessage[] = [];
    const buffer = Buffer.alloc(64 << 10);
    for (;;) {
      const length = descriptors.receive(this.#fd, buffer);
      // Answers outlive the buffer, which the next datagram overwrites.
      for (const message of decodeMessages(Buffer.from(buffer.subarray(0, length)))) {
        if (message.sequence !== sequence) continue;
        if (message.type === netlink.done) return answers;
        if (message.type !== netlink.error) {
          answers.push(message);
          continue;
        }
        const errno = -message.payload.readInt32LE(0);
        if (errno !== 0) throw systemError('netlink', subject, errno);
        return answers;
      }
    }
  }

  [Symbol.dispose](): void {
    descriptors.close(this.#fd);
  }
}

function toLink({ payload }: NetlinkMessage): Link {
  const attributes = decodeAttributes(payload, 16);
  const address = attributes.get(attribute.linkAddress) ?? Buffer.alloc(0);
  return {
    index: payload.readInt32LE(4),
    isUp: (payload.readUInt32LE(8) & 1) === 1,
    name: (attributes.get(attribute.linkName) ?? Buffer.alloc(1)).toString().replace(/\0.*$/, ''),
    macAddress: [...address].map((byte) => byte.toString(16).padStart(2, '0')).join(':'),
    masterIndex: attributes.get(attribute.linkMaster)?.readUInt32LE(0),
    peerIndex: attributes.get(attribute.linkPeer)?.readUInt32LE(0),
  };
}

function macBytes(macAddress: string): Buffer {
  return Buffer.from(macAddress.replaceAll(':', ''), 'hex');
}

/** Removes an interface of this namespace, or of the pinned one, without holding up this thread. False when there is none of that name. */
export async function removeLink(name: string, namespaceFile?: string): Promise<boolean> {
  using table = namespaceFile === undefined ? LinkTable.open() : withinNamespaces({ net: namespaceFile }, () => LinkTable.open());
  return await table.removeSlowly(name);
}
