import { ipBytes } from './ip-bytes.ts';
import { descriptors } from './syscalls.ts';

/**
 * A bound IPv4 socket of the network namespace this thread is in, for `listen({ fd })` of node:net and `bind({ fd })` of node:dgram, which
 * cannot make one in another namespace. Port 0: any free one. The caller closes it, or whoever takes it over does.
 */
export function openBoundSocket(kind: 'tcp' | 'udp', port: number, address = '0.0.0.0'): number {
  const [familyInet, stream, datagram, closeOnExec] = [2, 1, 2, 0o2000000];
  const fd = descriptors.socket(familyInet, (kind === 'tcp' ? stream : datagram) | closeOnExec, 0);
  const name = Buffer.alloc(16);
  name.writeUInt16LE(familyInet, 0);
  name.writeUInt16BE(port, 2);
  name.set(ipBytes(address), 4);
  try {
    descriptors.bind(fd, name);
    return fd;
  } catch (error) {
    descriptors.close(fd);
    throw error;
  }
}
