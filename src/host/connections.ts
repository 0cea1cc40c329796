import { isError } from '../kernel/mod.ts';
import { formatIp } from './ip-bytes.ts';
import { decodeAttributes, decodeMessages, encodeAttribute, encodeMessage, netlink, type NetlinkMessage } from './netlink-message.ts';
import { descriptors, systemError } from './syscalls.ts';

/** Numbers of linux/netfilter/nfnetlink_conntrack.h. */
const conntrack = { get: 0x101, delete: 0x102, tupleOriginal: 1, tupleReply: 2, addresses: 1, protocol: 2, source: 1, destination: 2, number: 1, sourcePort: 2, destinationPort: 3, nested: 0x8000 } as const;
const [familyInet, udp] = [2, 17];

/** A flow of UDP that the kernel remembers: where it was sent, and who answers it. */
export interface UdpFlow {
  readonly destination: string;
  readonly port: number;
  readonly answeredBy: string;
  readonly answeredFrom: number;
  /** The kernel's own name for it. */
  readonly tuple: Buffer;
}

/** The kernel's table of tracked connections of the network namespace in which it is opened, over IPv4. Needs root. */
export class ConnectionTable implements Disposable {
  readonly #fd: number;
  #sequence = 0;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  static open(): ConnectionTable {
    const [familyNetlink, raw, closeOnExec, netfilter] = [16, 3, 0o2000000, 12];
    const fd = descriptors.socket(familyNetlink, raw | closeOnExec, netfilter);
    const address = Buffer.alloc(12);
    address.writeUInt16LE(familyNetlink, 0);
    descriptors.bind(fd, address);
    return new ConnectionTable(fd);
  }

  udpFlows(): UdpFlow[] {
    return this.#request(conntrack.get, netlink.dump, []).flatMap(({ payload }) => toFlow(payload) ?? []);
  }

  /** The next packet of the flow is looked at as if it were the first. One that is gone already is no error. */
  forget({ tuple }: UdpFlow): void {
    try {
      this.#request(conntrack.delete, netlink.acknowledge, [encodeAttribute(conntrack.tupleOriginal | conntrack.nested, tuple)]);
    } catch (error) {
      if (!isError(error) || error.details.errno !== 'ENOENT') throw error;
    }
  }

  #request(type: number, flags: number, attributes: readonly Buffer[]): NetlinkMessage[] {
    this.#sequence += 1;
    const sequence = this.#sequence;
    descriptors.send(this.#fd, encodeMessage(type, netlink.request | flags, sequence, Buffer.from([familyInet, 0, 0, 0]), attributes));
    const answers: NetlinkMessage[] = [];
    const buffer = Buffer.alloc(64 << 10);
    for (;;) {
      const length = descriptors.receive(this.#fd, buffer);
      for (const message of decodeMessages(Buffer.from(buffer.subarray(0, length)))) {
        if (message.sequence !== sequence) continue;
        if (message.type === netlink.done) return answers;
        if (message.type !== netlink.error) {
          answers.push(message);
          continue;
        }
        const errno = -message.payload.readInt32LE(0);
        if (errno !== 0) throw systemError('netlink', 'connections', errno);
        return answers;
      }
    }
  }

  [Symbol.dispose](): void {
    descriptors.close(this.#fd);
  }
}

function toFlow(payload: Buffer): UdpFlow | undefined {
  const attributes = decodeAttributes(payload, 4);
  const tuple = attributes.get(conntrack.tupleOriginal);
  const [sent, answered] = [tuple, attributes.get(conntrack.tupleReply)].map((one) => (one === undefined ? undefined : toEnds(one)));
  if (tuple === undefined || sent?.protocol !== udp || answered === undefined) return undefined;
  return { destination: sent.destination, port: sent.destinationPort, answeredBy: answered.source, answeredFrom: answered.sourcePort, tuple };
}

function toEnds(tuple: Buffer): { protocol: number; source: string; destination: string; sourcePort: number; destinationPort: number } | undefined {
  const parts = decodeAttributes(tuple, 0);
  const addresses = decodeAttributes(parts.get(conntrack.addresses) ?? Buffer.alloc(0), 0);
  const protocol = decodeAttributes(parts.get(conntrack.protocol) ?? Buffer.alloc(0), 0);
  const [source, destination] = [addresses.get(conntrack.source), addresses.get(conntrack.destination)];
  const [sourcePort, destinationPort] = [protocol.get(conntrack.sourcePort), protocol.get(conntrack.destinationPort)];
  if (source === undefined || destination === undefined || sourcePort === undefined || destinationPort === undefined) return undefined;
  return { protocol: protocol.get(conntrack.number)?.readUInt8(0) ?? 0, source: formatIp(source), destination: formatIp(destination), sourcePort: sourcePort.readUInt16BE(0), destinationPort: destinationPort.readUInt16BE(0) };
}
