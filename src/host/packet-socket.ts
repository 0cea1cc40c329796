import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { GantryError } from '../kernel/mod.ts';
import { adoptDescriptor } from './adopted-descriptor.ts';
import { descriptors } from './syscalls.ts';

/** The kernel's limit of a socket path, with its terminating zero (unix(7)). */
const maxPathBytes = 107;

/**
 * The write side of a Unix socket of type SOCK_SEQPACKET, which node:net does not open. Packets hold at most `maxPacketBytes`;
 * ending the stream half-closes. What the peer sends is read and dropped, so that it never waits for us. That goes on until the peer
 * closes, also after `destroy`: conmon uses freed memory when it finds a socket closed for both directions at once.
 */
export function connectPacketWriter(path: string, maxPacketBytes: number): Writable {
  const [familyUnix, sequencedPackets, nonBlocking, closeOnExec] = [1, 5, 0o4000, 0o2000000];
  if (Buffer.byteLength(path) > maxPathBytes) throw new GantryError('invalid', `socket path ${path} is longer than ${maxPathBytes} bytes`);
  const packets = descriptors.socket(familyUnix, sequencedPackets | nonBlocking | closeOnExec, 0);
  try {
    const address = Buffer.alloc(2 + Buffer.byteLength(path) + 1);
    address.writeUInt16LE(familyUnix, 0);
    address.write(path, 2);
    descriptors.connect(packets, address, path);
    return packetWriter(adoptDescriptor(packets).socket, maxPacketBytes);
  } finally {
    descriptors.close(packets);
  }
}

/** One write at a time: writes that wait together would become one packet, and the receiver cuts long packets off. */
function packetWriter(socket: Socket, maxPacketBytes: number): Writable {
  const writer = new Writable({
    write(chunk: Buffer, _encoding, done) {
      const send = (offset: number): void => {
        if (offset >= chunk.length) return done();
        socket.write(chunk.subarray(offset, offset + maxPacketBytes), (error) => (error ? done(error) : send(offset + maxPacketBytes)));
      };
      send(0);
    },
    final(done) {
      socket.end(() => done());
    },
    destroy(error, done) {
      socket.end();
      socket.unref();
      done(error);
    },
  });
  socket.resume();
  // The peer has gone, whether or not we have ended.
  socket.on('end', () => writer.destroy());
  socket.on('error', (error) => writer.destroy(error));
  socket.on('close', () => writer.destroy());
  return writer;
}
