import { descriptors } from '../syscalls.ts';

/** A bound IPv4 socket of the namespace this thread is in, for `listen({ fd })` of node:net and `bind({ fd })` of node:dgram. */
export function openBoundSocket(kind: 'tcp' | 'udp', port: number): number {
  const [familyInet, stream, datagram, closeOnExec] = [2, 1, 2, 0o2000000];
  const fd = descriptors.socket(familyInet, (kind === 'tcp' ? stream : datagram) | closeOnExec, 0);
  const address = Buffer.alloc(16);
  address.writeUInt16LE(familyInet, 0);
  address.writeUInt16BE(port, 2);
  descriptors.bind(fd, address);
  return fd;
}
