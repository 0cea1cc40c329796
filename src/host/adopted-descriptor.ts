import { Socket } from 'node:net';
import { descriptors } from './syscalls.ts';

/**
 * A stream over a descriptor of a kind that node:net does not open (sequenced packets, a terminal's master), which must not block. The caller closes its
 * own; the stream's is another number for the same thing.
 */
export function adoptDescriptor(fd: number): { socket: Socket; fd: number } {
  const [familyUnix, stream, nonBlocking, closeOnExec] = [1, 1, 0o4000, 0o2000000];
  // node:net looks at a descriptor's type when it adopts it and refuses others. So it adopts a stream socket, whose number is given to the
  // wanted thing before the event loop polls it for the first time.
  const adopted = descriptors.socket(familyUnix, stream | nonBlocking | closeOnExec, 0);
  const socket = new Socket({ fd: adopted, readable: true, writable: true, allowHalfOpen: true });
  descriptors.duplicateTo(fd, adopted);
  return { socket, fd: adopted };
}
