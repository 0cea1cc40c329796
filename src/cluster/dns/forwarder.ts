import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { randomInt } from 'node:crypto';
import { GantryError } from '../../kernel/mod.ts';
import { maxForwarded, upstreamTimeoutMs } from './config.ts';

/** An upstream resolver: an IP address, with a port where it is not 53. */
export interface Upstream { address: string; port: number }

/** Asks upstream resolvers in order with the client's own question bytes. Answers are passed on as they are. */
export class Forwarder {
  readonly #upstreams: readonly Upstream[];
  readonly #timeoutMs: number;
  #pending = 0;

  constructor(upstreams: readonly Upstream[], timeoutMs: number = upstreamTimeoutMs) {
    this.#upstreams = upstreams;
    this.#timeoutMs = timeoutMs;
  }

  /** The answer to `query`, by the transport the client used. `unavailable` when no resolver answers, `exhausted` when too many wait. */
  async forward(query: Buffer, transport: 'udp' | 'tcp'): Promise<Buffer> {
    if (this.#pending >= maxForwarded) throw new GantryError('exhausted', 'too many questions are under way');
    this.#pending += 1;
    try {
      return await this.#ask(query, transport);
    } finally {
      this.#pending -= 1;
    }
  }

  async #ask(query: Buffer, transport: 'udp' | 'tcp'): Promise<Buffer> {
    let cause: unknown;
    for (const upstream of this.#upstreams) {
      try {
        return await (transport === 'udp' ? askUdp(upstream, query, this.#timeoutMs) : askTcp(upstream, query, this.#timeoutMs));
      } catch (error) {
        cause = error;
      }
    }
    throw new GantryError('unavailable', 'no upstream resolver answered', { cause });
  }
}

/** A random id and a random port for each question, so that answers cannot be forged blindly (RFC 5452). */
function askUdp({ address, port }: Upstream, query: Buffer, timeoutMs: number): Promise<Buffer> {
  const id = randomInt(0x1_0000);
  const outgoing = Buffer.from(query);
  outgoing.writeUInt16BE(id, 0);
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const timer = setTimeout(() => finish(new GantryError('timeout', `${address} did not answer`)), timeoutMs);
    const finish = (error: Error | undefined, answer?: Buffer): void => {
      clearTimeout(timer);
      socket.close();
      if (answer === undefined) return reject(error);
      answer.writeUInt16BE(query.readUInt16BE(0), 0);
      resolve(answer);
    };
    socket.once('error', (error) => finish(error));
    socket.on('message', (answer) => {
      if (answer.length >= 12 && answer.readUInt16BE(0) === id) finish(undefined, answer);
    });
    // A connected socket takes answers only from whom it asked.
    socket.connect(port, address, () => socket.send(outgoing));
  });
}

function askTcp({ address, port }: Upstream, query: Buffer, timeoutMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, timeout: timeoutMs });
    let received = Buffer.alloc(0);
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    socket.once('error', fail);
    socket.once('timeout', () => fail(new GantryError('timeout', `${address} did not answer`)));
    socket.once('close', () => fail(new GantryError('unavailable', `${address} closed the connection`)));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      resolve(received.subarray(2, 2 + received.readUInt16BE(0)));
      socket.destroy();
    });
    socket.once('connect', () => socket.write(withLength(query)));
  });
}

/** A message with its two-byte length in front (RFC 1035 4.2.2). */
export function withLength(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(message.length + 2);
  framed.writeUInt16BE(message.length, 0);
  framed.set(message, 2);
  return framed;
}
