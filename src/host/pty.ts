import { closeSync, constants, openSync } from 'node:fs';
import type { Socket } from 'node:net';
import { adoptDescriptor } from './adopted-descriptor.ts';
import { descriptors } from './syscalls.ts';

const [unlockRequest, numberRequest, setSizeRequest] = [0x40045431, 0x80045430, 0x5414];

/** Both ends of a new pseudo-terminal (pty(7)). */
export interface PseudoTerminal {
  /** Ours. Not node:tty's: that writes to a master in blocking mode, so that input which nobody reads would stop the whole program. It fails with EIO when the last holder of the slave has gone; do not end it, destroy it. */
  readonly master: Socket;
  /** For a child's stdio; the caller closes its own once the child has been spawned. */
  readonly slaveFd: number;
  /** TIOCSWINSZ; nothing once the master is destroyed. The foreground processes of the terminal get SIGWINCH from the kernel. */
  readonly resize: (size: { width: number; height: number }) => void;
}

/** The caller closes the slave and destroys the master. */
export function openPseudoTerminal(): PseudoTerminal {
  const flags = constants.O_RDWR | constants.O_NOCTTY;
  const opened = openSync('/dev/ptmx', flags | constants.O_NONBLOCK);
  try {
    descriptors.ioctl(opened, unlockRequest, Buffer.alloc(4));
    const number = Buffer.alloc(4);
    descriptors.ioctl(opened, numberRequest, number);
    const slaveFd = openSync(`/dev/pts/${number.readInt32LE(0)}`, flags);
    const { socket: master, fd } = adoptDescriptor(opened);
    return { master, slaveFd, resize: (size) => void (master.destroyed || setTerminalSize(fd, size)) };
  } finally {
    closeSync(opened);
  }
}

function setTerminalSize(fd: number, size: { width: number; height: number }): void {
  const argument = Buffer.alloc(8);
  argument.writeUInt16LE(size.height, 0);
  argument.writeUInt16LE(size.width, 2);
  descriptors.ioctl(fd, setSizeRequest, argument);
}
