/** Numbers of rtnetlink(7) and linux/if_link.h that we use. */
export const netlink = {
  newLink: 16,
  deleteLink: 17,
  getLink: 18,
  newAddress: 20,
  deleteAddress: 21,
  getAddress: 22,
  newRoute: 24,
  deleteRoute: 25,
  request: 0x1,
  acknowledge: 0x4,
  exclusive: 0x200,
  create: 0x400,
  replace: 0x100,
  dump: 0x300,
  /** Message types of answers. */
  error: 2,
  done: 3,
} as const;

/** Attribute numbers. */
export const attribute = {
  linkAddress: 1,
  linkName: 3,
  linkMtu: 4,
  linkPeer: 5,
  linkMaster: 10,
  linkInfo: 18,
  linkInfoKind: 1,
  linkInfoData: 2,
  linkNetnsFd: 28,
  vethPeer: 1,
  addressAddress: 1,
  addressLocal: 2,
  addressBroadcast: 4,
  routeDestination: 1,
  routeOutputLink: 4,
  routeGateway: 5,
} as const;

/** Flag IFF_UP of an ifinfomsg. */
const interfaceUp = 1;

/** One attribute: length, type, payload, padding to four bytes (netlink(7)). */
export function encodeAttribute(type: number, payload: Uint8Array): Buffer {
  const buffer = Buffer.alloc((4 + payload.length + 3) & ~3);
  buffer.writeUInt16LE(4 + payload.length, 0);
  buffer.writeUInt16LE(type, 2);
  buffer.set(payload, 4);
  return buffer;
}

export function encodeNested(type: number, attributes: readonly Uint8Array[]): Buffer {
  return encodeAttribute(type, Buffer.concat(attributes));
}

export function encodeText(type: number, text: string): Buffer {
  return encodeAttribute(type, Buffer.from(`${text}\0`));
}

export function encodeU32(type: number, value: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32LE(value);
  return encodeAttribute(type, payload);
}

/** ifinfomsg. `isUp` undefined leaves the flag as it is. */
export function linkHeader(index: number, isUp?: boolean): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  header.writeUInt32LE(isUp === true ? interfaceUp : 0, 8);
  header.writeUInt32LE(isUp === undefined ? 0 : interfaceUp, 12);
  return header;
}

/** Address families, and the flag of an address that is not looked for among the neighbours first. */
const [familyInet, familyInet6, noDuplicateDetection] = [2, 10, 0x02];

/** ifaddrmsg. */
export function addressHeader(prefixLength: number, linkIndex: number, isIpv6 = false): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(isIpv6 ? familyInet6 : familyInet, 0);
  header.writeUInt8(prefixLength, 1);
  header.writeUInt8(isIpv6 ? noDuplicateDetection : 0, 2);
  header.writeUInt32LE(linkIndex, 4);
  return header;
}

/** rtmsg for a unicast route of the main table. `isOnLink`: the gateway is reachable although no address covers it. `isAny`: matches a route of any origin and scope. */
export function routeHeader(destinationLength: number, isLinkScope: boolean, isOnLink: boolean, isIpv6 = false, isAny = false): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt8(isIpv6 ? familyInet6 : familyInet, 0);
  header.writeUInt8(destinationLength, 1);
  header.writeUInt8(254, 4);
  header.writeUInt8(isAny ? 0 : 4, 5);
  header.writeUInt8(isAny ? 255 : isLinkScope ? 253 : 0, 6);
  header.writeUInt8(isAny ? 0 : 1, 7);
  header.writeUInt32LE(isOnLink ? 4 : 0, 8);
  return header;
}

/** A whole message: nlmsghdr, header, attributes. */
export function encodeMessage(type: number, flags: number, sequence: number, header: Uint8Array, attributes: readonly Uint8Array[]): Buffer {
  const payload = Buffer.concat([header, ...attributes]);
  const head = Buffer.alloc(16);
  head.writeUInt32LE(16 + payload.length, 0);
  head.writeUInt16LE(type, 4);
  head.writeUInt16LE(flags, 6);
  head.writeUInt32LE(sequence, 8);
  return Buffer.concat([head, payload]);
}

export interface NetlinkMessage { type: number; flags: number; sequence: number; payload: Buffer }

/** The messages of one datagram. */
export function decodeMessages(datagram: Buffer): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  for (let offset = 0; offset + 16 <= datagram.length; ) {
    const length = datagram.readUInt32LE(offset);
    if (length < 16 || offset + length > datagram.length) break;
    messages.push({
      type: datagram.readUInt16LE(offset + 4),
      flags: datagram.readUInt16LE(offset + 6),
      sequence: datagram.readUInt32LE(offset + 8),
      payload: datagram.subarray(offset + 16, offset + length),
    });
    offset += (length + 3) & ~3;
  }
  return messages;
}

/** Attributes after a fixed header, by type; of repeated ones the last. */
export function decodeAttributes(payload: Buffer, headerLength: number): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let offset = headerLength; offset + 4 <= payload.length; ) {
    const length = payload.readUInt16LE(offset);
    if (length < 4 || offset + length > payload.length) break;
    // The two top bits mark nesting and byte order.
    attributes.set(payload.readUInt16LE(offset + 2) & 0x3fff, payload.subarray(offset + 4, offset + length));
    offset += (length + 3) & ~3;
  }
  return attributes;
}
