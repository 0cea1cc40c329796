import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { type Answer, decode, encode, type Packet, type Question } from 'dns-packet';
import type { Informers } from '../../client/mod.ts';
import { aborted, type Logger, openPortPair, type Service } from '../../kernel/mod.ts';
import { followAlias } from './alias.ts';
import { namesFromInformers } from './cluster-names.ts';
import { clusterTtlSeconds } from './config.ts';
import { Forwarder, type Upstream, withLength } from './forwarder.ts';
import { type ClusterNames, type DnsRecord, lookup } from './records.ts';

export interface DnsServerOptions {
  /** Where to listen, UDP and TCP. Port 0 in tests. */
  address: string;
  port: number;
  /** For example `cluster.local`. */
  clusterDomain: string;
  /** Resolvers for all other names, asked in order. */
  upstreams: readonly Upstream[];
}

/** Largest answer without EDNS, and the largest that is sent by UDP whatever the client says (RFC 1035 4.2.1, RFC 6891). */
const plainUdpBytes = 512;
const maxUdpBytes = 1232;

const edns: Answer = { type: 'OPT', name: '.', udpPayloadSize: maxUdpBytes, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] };

/** Bits of the flags word (RFC 1035 4.1.1), and response codes. */
const flags = { authoritative: 1 << 10, truncated: 1 << 9, recursionDesired: 1 << 8, recursionAvailable: 1 << 7 };
const codes = { ok: 0, malformed: 1, serverFailure: 2, missing: 3, notImplemented: 4 };

/** The cluster's DNS server: authoritative for the cluster's domain, forwarding for the rest. */
export class DnsServer implements Service {
  readonly name = 'dns';
  readonly #names: ClusterNames;
  readonly #options: DnsServerOptions;
  readonly #forwarder: Forwarder;
  readonly #log: Logger;
  readonly #listening = Promise.withResolvers<void>();
  #port = 0;

  constructor(informers: Informers, options: DnsServerOptions, log: Logger) {
    this.#names = namesFromInformers(informers);
    this.#options = options;
    this.#forwarder = new Forwarder(options.upstreams);
    this.#log = log;
  }

  /** The port in use, after `ready`. */
  get port(): number {
    return this.#port;
  }

  ready(): Promise<void> {
    return this.#listening.promise;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { udp, tcp, port } = await openPortPair(this.#options.address, this.#options.port);
    this.#port = port;
    for (const socket of [udp, tcp]) socket.on('error', (error) => this.#log.warn('dns socket', { err: error }));
    const connections = new Set<Socket>();
    udp.on('message', (query, from) => void this.#answerUdp(udp, query, from));
    tcp.on('connection', (socket) => {
      connections.add(socket);
      socket.once('close', () => connections.delete(socket));
      this.#serveTcp(socket);
    });
    this.#listening.resolve();
    await aborted(signal);
    udp.close();
    tcp.close();
    for (const socket of connections) socket.destroy();
  }

  async #answerUdp(udp: UdpSocket, query: Buffer, from: { address: string; port: number }): Promise<void> {
    const answer = await this.#answer(query, 'udp');
    if (answer !== undefined) udp.send(answer, from.port, from.address, () => undefined);
  }

  /** Several questions may come on one connection; each has its length in front. */
  #serveTcp(socket: Socket): void {
    let received = Buffer.alloc(0);
    socket.setTimeout(10_000, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0);
        const query = received.subarray(2, end);
        received = received.subarray(end);
        void this.#answer(query, 'tcp').then((answer) => (answer === undefined ? socket.destroy() : socket.write(withLength(answer))));
      }
    });
  }

  /** Undefined: not a question, and not worth an answer. */
  async #answer(query: Buffer, transport: 'udp' | 'tcp'): Promise<Buffer | undefined> {
    const packet = parse(query);
    if (packet === 'garbage') return undefined;
    if (packet === 'malformed') return respond(query, codes.malformed);
    const question = packet.questions?.[0];
    if (packet.opcode !== 'QUERY' || question === undefined || packet.questions?.length !== 1) return respond(query, codes.notImplemented, packet);
    const result = lookup(this.#names, this.#options.clusterDomain, question.name, question.type);
    if (result.kind === 'found') return this.#found(query, packet, question, result.records, result.additional, transport);
    if (result.kind === 'missing') return respond(query, codes.missing, packet, [], [], [authority(this.#options.clusterDomain)]);
    try {
      return await this.#forwarder.forward(query, transport);
    } catch (error) {
      this.#log.debug('cannot forward', { name: question.name, err: error });
      return respond(query, codes.serverFailure, packet);
    }
  }

  async #found(query: Buffer, packet: Packet, question: Question, records: readonly DnsRecord[], additional: readonly DnsRecord[], transport: 'udp' | 'tcp'): Promise<Buffer> {
    const { clusterDomain } = this.#options;
    const [alias] = records;
    if (alias?.type !== 'CNAME' || question.type === 'CNAME') return fit(clusterDomain, query, packet, { answers: records, additional, code: codes.ok }, transport);
    const followed = await followAlias(this.#names, clusterDomain, this.#forwarder, alias.data, question.type);
    return fit(clusterDomain, query, packet, { answers: [...records, ...followed.records], additional, code: followed.code }, transport);
  }
}

interface Found { readonly answers: readonly Answer[]; readonly additional: readonly Answer[]; readonly code: number }

function parse(query: Buffer): Packet & { opcode?: string } | 'garbage' | 'malformed' {
  if (query.length < 12) return 'garbage';
  try {
    const packet = decode(query) as Packet & { opcode?: string };
    return packet.type === 'query' ? packet : 'garbage';
  } catch {
    return 'malformed';
  }
}

/** The answer cut to what the client can take by UDP; the truncated bit sends it to TCP. */
function fit(domain: string, query: Buffer, packet: Packet, { answers, additional, code }: Found, transport: 'udp' | 'tcp'): Buffer {
  const whole = respond(query, code, packet, answers, additional, answers.length === 0 ? [authority(domain)] : []);
  const limit = transport === 'tcp' ? 0xffff : Math.max(plainUdpBytes, Math.min(maxUdpBytes, clientLimit(packet)));
  if (whole.length <= limit) return whole;
  const withoutAdditional = respond(query, code, packet, answers);
  return withoutAdditional.length <= limit ? withoutAdditional : respond(query, code, packet, [], [], [], flags.truncated);
}

function clientLimit(packet: Packet): number {
  const edns = packet.additionals?.find((record) => record.type === 'OPT');
  return edns === undefined ? plainUdpBytes : (edns as { udpPayloadSize?: number }).udpPayloadSize ?? plainUdpBytes;
}

function respond(
  query: Buffer,
  code: number,
  packet?: Packet,
  answers: readonly Answer[] = [],
  additionals: readonly Answer[] = [],
  authorities: readonly Answer[] = [],
  extraFlags = 0,
): Buffer {
  const wanted = ((packet?.flags ?? 0) & flags.recursionDesired) | flags.recursionAvailable | flags.authoritative;
  return encode({
    id: query.readUInt16BE(0),
    type: 'response',
    flags: wanted | extraFlags | code,
    questions: packet?.questions ?? [],
    answers: [...answers],
    // Who speaks EDNS is answered in it (RFC 6891 6.1.1).
    additionals: [...additionals, ...(packet?.additionals?.some((record) => record.type === 'OPT') === true ? [edns] : [])],
    authorities: [...authorities],
  });
}

/** The SOA that lets clients keep a negative answer for a moment (RFC 2308). */
function authority(domain: string): Answer {
  const data = { mname: `ns.dns.${domain}`, rname: `hostmaster.${domain}`, serial: 1, refresh: 7200, retry: 1800, expire: 86_400, minimum: clusterTtlSeconds };
  return { type: 'SOA', name: domain, ttl: clusterTtlSeconds, data };
}
