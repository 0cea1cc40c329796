import { closeSync, constants, openSync } from 'node:fs';
import { descriptors } from './syscalls.ts';

const [unlockRequest, numberRequest, setSizeRequest] = [0x40045431, 0x80045430, 0x5414];

/** Both ends of a new pseudo-terminal (pty(7)). The slave is for a child's stdio; close ours once it has been spawned. */
export interface PseudoTerminal { readonly masterFd: number; readonly slaveFd: number }

/** The caller closes both descriptors. */
export function openPseudoTerminal(): PseudoTerminal {
  const flags = constants.O_RDWR | constants.O_NOCTTY;
  const masterFd = openSync('/dev/ptmx', flags);
  try {
    descriptors.ioctl(masterFd, unlockRequest, Buffer.alloc(4));
    const number = Buffer.alloc(4);
    descriptors.ioctl(masterFd, numberRequest, number);
    return { masterFd, slaveFd: openSync(`/dev/pts/${number.readInt32LE(0)}`, flags) };
  } catch (error) {
    closeSync(masterFd);
    throw error;
  }
}

/** TIOCSWINSZ. The foreground processes of the terminal get SIGWINCH from the kernel. */
export function setTerminalSize(fd: number, size: { width: number; height: number }): void {
  const argument = Buffer.alloc(8);
  argument.writeUInt16LE(size.height, 0);
  argument.writeUInt16LE(size.width, 2);
  descriptors.ioctl(fd, setSizeRequest, argument);
}
