/**
 * A loopback address that no other test process listens on: made from the process id. With ports below those that the kernel
 * gives away, what listens on it cannot collide with anybody.
 */
export function ownLoopback(): string {
  const { pid } = process;
  return `127.${(pid >> 16) & 0x7f | 0x80}.${(pid >> 8) & 0xff}.${pid & 0xff}`;
}
