import { createSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import type { Logger, PortPair } from '../../kernel/mod.ts';
import { addressOfReverseName, dnsCodes, dnsTypes, encodeAnswer, parseQuestion } from './dns-message.ts';

/** Addresses of a name by family. */
export interface NamedAddresses { readonly ipv4: readonly string[]; readonly ipv6: readonly string[] }

/** What names mean to the one who asks. */
export interface NameSource {
  /** Addresses of the name for the asking container; undefined: not one of ours. */
  addressesOf(name: string, askerId: string): NamedAddresses | undefined;
  /** The name of an address; undefined: not one of ours. */
  nameOf(address: string, askerId: string): string | undefined;
  /** Resolvers that the asker's other questions go to; none: other names do not exist for it. */
  upstreams(askerId: string): readonly string[];
}

const upstreamTimeoutMs = 4000;
const maxTcpBytes = 65_537;

/** Answers one container's DNS questions: names of containers from the source, everything else from the resolvers that are its own. */
export class NameServer implements AsyncDisposable {
  readonly #source: NameSource;
  readonly #askerId: string;
  readonly #sockets: PortPair;
  readonly #connections = new Set<Socket>();
  #isClosed = false;

  /** Takes the sockets over. */
  constructor(sockets: PortPair, askerId: string, source: NameSource, log: Logger) {
    this.#source = source;
    this.#askerId = askerId;
    this.#sockets = sockets;
    this.#serve(log);
  }

  #serve(log: Logger): void {
    const { udp, tcp } = this.#sockets;
    udp.on('message', (query, { address, port }) => {
      void this.#answer(query, askUdp).then((answer) => {
        if (answer !== undefined && !this.#isClosed) udp.send(answer, port, address, () => undefined);
      });
    });
    tcp.on('connection', (socket) => this.#serveTcp(socket));
    for (const socket of [udp, tcp]) socket.on('error', (error) => log.warn('the name server failed', { container: this.#askerId, err: error }));
    udp.unref();
    tcp.unref();
  }

  get port(): number {
    return this.#sockets.port;
  }

  async #answer(query: Buffer, ask: Ask): Promise<Buffer | undefined> {
    const question = parseQuestion(query);
    if (question === undefined) return undefined;
    const { name, type } = question;
    const asker = this.#askerId;
    const addresses = this.#source.addressesOf(name, asker);
    if (addresses !== undefined) {
      const wanted = type === dnsTypes.a ? addresses.ipv4 : type === dnsTypes.aaaa ? addresses.ipv6 : [];
      return encodeAnswer(query, question, { code: dnsCodes.success, addresses: wanted });
    }
    const reverse = type === dnsTypes.ptr ? addressOfReverseName(name) : undefined;
    const reverseName = reverse === undefined ? undefined : this.#source.nameOf(reverse, asker);
    if (reverseName !== undefined) return encodeAnswer(query, question, { code: dnsCodes.success, names: [reverseName] });
    const upstreams = this.#source.upstreams(asker);
    // A name without a dot is a container's or nobody's; asking the world would tell it our names.
    if (upstreams.length === 0 || !name.includes('.')) return encodeAnswer(query, question, { code: dnsCodes.noSuchName });
    for (const upstream of upstreams) {
      const answer = await ask(query, upstream);
      if (answer !== undefined) return answer;
    }
    return encodeAnswer(query, question, { code: dnsCodes.serverFailure });
  }

  #serveTcp(socket: Socket): void {
    this.#connections.add(socket);
    socket.setTimeout(10_000, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#connections.delete(socket));
    readMessages(socket, (query) => {
      void this.#answer(query, askTcp).then((answer) => {
        if (answer === undefined) socket.destroy();
        else if (!socket.destroyed) socket.write(withLength(answer));
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const socket of this.#connections) socket.destroy();
    await new Promise<void>((resolve) => void this.#sockets.udp.close(() => resolve()));
    await new Promise<void>((resolve) => void this.#sockets.tcp.close(() => resolve()));
  }
}

/** Asks one resolver; undefined when it does not answer in time. */
type Ask = (query: Buffer, resolver: string) => Promise<Buffer | undefined>;

const askUdp: Ask = (query, resolver) =>
  new Promise((resolve) => {
    const socket = createSocket(resolver.includes(':') ? 'udp6' : 'udp4');
    const finish = (answer: Buffer | undefined): void => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(() => finish(undefined), upstreamTimeoutMs);
    timer.unref();
    socket.once('error', () => finish(undefined));
    // Connected, so that nobody else can answer; an answer to another question is no answer.
    socket.connect(53, resolver, () => {
      socket.on('message', (answer) => {
        if (answer.length >= 2 && answer.readUInt16BE(0) === query.readUInt16BE(0)) finish(answer);
      });
      socket.send(query);
    });
  });

const askTcp: Ask = (query, resolver) =>
  new Promise((resolve) => {
    const socket = connect(53, resolver, () => void socket.write(withLength(query)));
    const finish = (answer: Buffer | undefined): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(upstreamTimeoutMs, () => finish(undefined));
    socket.on('error', () => finish(undefined));
    socket.on('close', () => finish(undefined));
    readMessages(socket, finish);
  });

/** Messages of a DNS connection: two bytes of length before each (RFC 1035, 4.2.2). */
function readMessages(socket: Socket, onMessage: (message: Buffer) => void): void {
  let pending = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    if (pending.length > maxTcpBytes * 2) return void socket.destroy();
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const end = 2 + pending.readUInt16BE(0);
      onMessage(pending.subarray(2, end));
      pending = pending.subarray(end);
    }
  });
}

function withLength(message: Buffer): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(message.length);
  return Buffer.concat([head, message]);
}
