import { constants } from 'node:fs';
import koffi from 'koffi';
import { type ErrorCode, GantryError } from '../kernel/mod.ts';

// Bindings to functions of the C library hold no state of ours; like node:fs they are the process's, so they are module constants.
const libc = koffi.load('libc.so.6');
const c = {
  mount: libc.func('int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)'),
  umount2: libc.func('int umount2(const char *target, int flags)'),
  unshare: libc.func('int unshare(int flags)'),
  setns: libc.func('int setns(int fd, int nstype)'),
  sethostname: libc.func('int sethostname(const char *name, size_t len)'),
  setdomainname: libc.func('int setdomainname(const char *name, size_t len)'),
  lgetxattr: libc.func('int64_t lgetxattr(const char *path, const char *name, _Out_ uint8_t *value, size_t size)'),
  lsetxattr: libc.func('int lsetxattr(const char *path, const char *name, const uint8_t *value, size_t size, int flags)'),
  llistxattr: libc.func('int64_t llistxattr(const char *path, _Out_ uint8_t *list, size_t size)'),
  mknod: libc.func('int mknod(const char *path, unsigned int mode, unsigned long dev)'),
  socket: libc.func('int socket(int domain, int type, int protocol)'),
  bind: libc.func('int bind(int fd, const uint8_t *address, unsigned int length)'),
  connect: libc.func('int connect(int fd, const uint8_t *address, unsigned int length)'),
  shutdown: libc.func('int shutdown(int fd, int how)'),
  send: libc.func('int64_t send(int fd, const uint8_t *buffer, size_t length, int flags)'),
  recv: libc.func('int64_t recv(int fd, _Out_ uint8_t *buffer, size_t length, int flags)'),
  dup2: libc.func('int dup2(int from, int to)'),
  close: libc.func('int close(int fd)'),
  ioctl: libc.func('int ioctl(int fd, unsigned long request, _Inout_ uint8_t *argument)'),
  // Those that the C library of Debian 12 has no function for, by their numbers, which are the same on all architectures.
  syscall: libc.func('long syscall(long number, ...)'),
  setfsuid: libc.func('int setfsuid(unsigned int uid)'),
  setfsgid: libc.func('int setfsgid(unsigned int gid)'),
  capget: libc.func('int capget(uint8_t *header, _Out_ uint8_t *data)'),
  capset: libc.func('int capset(uint8_t *header, const uint8_t *data)'),
  getrlimit: libc.func('int prlimit(int pid, int resource, void *newLimit, _Out_ uint8_t *oldLimit)'),
};

/** Error numbers that callers tell apart, as Node names them. */
const errnoNames = new Map(Object.entries(koffi.os.errno).map(([name, number]) => [number, name]));
const errnoCodes: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'not-found',
  EEXIST: 'already-exists',
  EPERM: 'forbidden',
  EACCES: 'forbidden',
  EBUSY: 'conflict',
  ENOSPC: 'exhausted',
  EAGAIN: 'unavailable',
  ECONNREFUSED: 'unavailable',
  EINVAL: 'invalid',
};

/** An error of a system call: `details.errno` has the POSIX name. `subject` says on what it was tried. */
export function systemError(operation: string, subject: string, errno: number): GantryError {
  const name = errnoNames.get(errno) ?? `errno ${errno}`;
  return new GantryError(errnoCodes[name] ?? 'internal', `${operation} ${subject}: ${name}`, { details: { errno: name } });
}

function check(result: number, operation: string, subject: string): number {
  if (result < 0) throw systemError(operation, subject, koffi.errno());
  return result;
}

/** Flags of mount(2). */
export const mountFlags = {
  readOnly: 1,
  noSuid: 2,
  noDevices: 4,
  noExec: 8,
  remount: 32,
  noAtime: 1024,
  bind: 4096,
  recursive: 16384,
  private: 1 << 18,
  slave: 1 << 19,
  shared: 1 << 20,
} as const;

/** mount(2). An empty `type` or `data` is passed as none. */
export function mount(source: string, target: string, type: string, flags: number, data = ''): void {
  check(c.mount(source, target, type === '' ? null : type, flags, data === '' ? null : data), 'mount', target);
}

/**
 * Mounts a copy of the mount of `source` at `target` in which the ids of the file system are those of the user namespace (mount_setattr(2)):
 * what is 0 on disk is the namespace's root there. `unsupported` where the kernel or the file system cannot do that.
 */
export function mountIdMapped(source: string, target: string, userNamespaceFd: number): void {
  const [openTree, moveMount, mountSetattr] = [428, 429, 442];
  const [here, cloneTree, closeOnExec, emptyPath, emptySource, idMap] = [-100, 1, 0x80000, 0x1000, 4, 0x100000n];
  const call = (number: number, what: string, ...args: readonly (string | number | Uint8Array)[]): number => {
    const result = Number(c.syscall(number, ...args));
    if (result < 0 && ['EINVAL', 'ENOSYS', 'EOPNOTSUPP', 'EPERM'].includes(errnoNames.get(koffi.errno()) ?? '')) {
      throw new GantryError('unsupported', `${what} ${source}: ids cannot be mapped there (the kernel or the file system is too old)`, { details: { errno: errnoNames.get(koffi.errno()) ?? '' } });
    }
    return check(result, what, source);
  };
  const fd = call(openTree, 'open_tree', 'int', here, 'const char *', source, 'unsigned int', cloneTree | closeOnExec);
  try {
    const attributes = Buffer.alloc(32);
    attributes.writeBigUInt64LE(idMap, 0);
    attributes.writeBigUInt64LE(BigInt(userNamespaceFd), 24);
    call(mountSetattr, 'mount_setattr', 'int', fd, 'const char *', '', 'unsigned int', emptyPath, 'void *', attributes, 'size_t', attributes.length);
    call(moveMount, 'move_mount', 'int', fd, 'const char *', '', 'int', here, 'const char *', target, 'unsigned int', emptySource);
  } finally {
    check(c.close(fd), 'close', `descriptor ${fd}`);
  }
}

/**
 * Runs `work` with these ids for files, on this thread and synchronously, capabilities kept: an overlay does all it does in its writable layer
 * with the ids of who mounted it, and the root of the machine has none in a layer whose ids are mapped.
 */
export function withFileIds<T>(ids: { uid: number; gid: number }, work: () => T): T {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(0x20080522, 0);
  const capabilities = Buffer.alloc(24);
  check(c.capget(header, capabilities), 'capget', 'this thread');
  const become = (uid: number, gid: number): void => {
    c.setfsgid(gid);
    c.setfsuid(uid);
    // Ids other than root's drop the capabilities for files (capabilities(7)); they are still permitted.
    check(c.capset(header, capabilities), 'capset', 'this thread');
  };
  try {
    become(ids.uid, ids.gid);
    return work();
  } finally {
    become(0, 0);
  }
}

/** umount2(2) without following symlinks; `lazy` detaches a mount that is in use. False when nothing is mounted there. */
export function unmount(target: string, options: { lazy: boolean }): boolean {
  const detach = 2;
  const noFollow = 8;
  if (c.umount2(target, (options.lazy ? detach : 0) | noFollow) === 0) return true;
  const errno = koffi.errno();
  if (errno === koffi.os.errno.EINVAL || errno === koffi.os.errno.ENOENT) return false;
  throw systemError('unmount', target, errno);
}

/**
 * As `unmount` with `lazy`, on another thread: the last user of an overlay writes all of its upper folder to disk, which may take seconds.
 */
export function unmountElsewhere(target: string): Promise<boolean> {
  const [detach, noFollow] = [2, 8];
  return new Promise((resolve, reject) => {
    c.umount2.async(target, detach | noFollow, (error: Error | null, result: number) => {
      // The error number belongs to the other thread. What can fail here and matters is asked again on this one.
      if (error !== null) reject(error);
      else if (result === 0) resolve(true);
      else resolve(unmount(target, { lazy: true }));
    });
  });
}

/** Flags of unshare(2) and setns(2) for namespaces that a single thread of a process may change. */
export const namespaceFlags = { cgroup: 0x02000000, uts: 0x04000000, ipc: 0x08000000, net: 0x40000000 } as const;

/** unshare(2) of this thread only. Whoever calls it must go back with `enter` before returning to the event loop. */
export function unshare(flags: number): void {
  check(c.unshare(flags), 'unshare', `0x${flags.toString(16)}`);
}

/** setns(2) of this thread only. */
export function enter(fd: number, flag: number): void {
  check(c.setns(fd, flag), 'setns', `descriptor ${fd}`);
}

/** Host and domain name of this thread's UTS namespace. */
export function setHostname(hostname: string, domainname = ''): void {
  check(c.sethostname(hostname, Buffer.byteLength(hostname)), 'sethostname', hostname);
  if (domainname !== '') check(c.setdomainname(domainname, Buffer.byteLength(domainname)), 'setdomainname', domainname);
}

/** The extended attribute of the path itself (symlinks are not followed); undefined when it has none. */
export function getXattr(path: string, name: string): Buffer | undefined {
  const value = Buffer.alloc(65_536);
  const length: number = Number(c.lgetxattr(path, name, value, value.length));
  if (length >= 0) return value.subarray(0, length);
  const errno = koffi.errno();
  if (errnoNames.get(errno) === 'ENODATA' || errnoNames.get(errno) === 'EOPNOTSUPP') return undefined;
  throw systemError('getxattr', path, errno);
}

/** Sets the extended attribute of the path itself. */
export function setXattr(path: string, name: string, value: Uint8Array): void {
  check(c.lsetxattr(path, name, value, value.length, 0), 'setxattr', path);
}

/** Names of the path's own extended attributes; none where the file system knows none. */
export function listXattrs(path: string): string[] {
  // Most files have none, so the length is asked first; nobody else changes what is asked for in between.
  const needed = Number(c.llistxattr(path, null, 0));
  if (needed < 0 && errnoNames.get(koffi.errno()) === 'EOPNOTSUPP') return [];
  if (check(needed, 'listxattr', path) === 0) return [];
  const list = Buffer.alloc(needed);
  const length = check(Number(c.llistxattr(path, list, list.length)), 'listxattr', path);
  return list.subarray(0, length).toString().split('\0').filter((name) => name !== '');
}

/** mknod(2). `mode` holds the type bits; 0:0 character devices are overlayfs whiteouts. */
export function makeNode(path: string, mode: number, major: number, minor: number): void {
  const device = ((major & 0xfff) << 8) | (minor & 0xff) | ((minor & 0xfff00) << 12);
  check(c.mknod(path, mode, device), 'mknod', path);
}

/**
 * A descriptor of a folder below another one, for names only (openat2(2)): the kernel itself refuses `..` that leaves, every symlink on the way
 * and other file systems. Undefined when there is none. The caller closes it.
 */
export function openFolderBeneath(rootFd: number, path: string): number | undefined {
  const [openat2, nameOnly, folderOnly, closeOnExec] = [437, 0x200000n, BigInt(constants.O_DIRECTORY), 0x80000n];
  const [noOtherFileSystem, noMagicLinks, noSymlinks, beneath] = [1n, 2n, 4n, 8n];
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(nameOnly | folderOnly | closeOnExec, 0);
  how.writeBigUInt64LE(noOtherFileSystem | noMagicLinks | noSymlinks | beneath, 16);
  const fd = Number(c.syscall(openat2, 'int', rootFd, 'const char *', path, 'void *', how, 'size_t', how.length));
  if (fd < 0 && errnoNames.get(koffi.errno()) === 'ENOENT') return undefined;
  return check(fd, 'open', path);
}

/** Soft and hard limit of this process for an RLIMIT number; Infinity is no limit. */
export function getRlimit(resource: number): { soft: number; hard: number } {
  const limits = Buffer.alloc(16);
  check(c.getrlimit(0, resource, null, limits), 'prlimit', String(resource));
  const read = (offset: number): number => {
    const value = limits.readBigUInt64LE(offset);
    return value === 0xffff_ffff_ffff_ffffn ? Infinity : Number(value);
  };
  return { soft: read(0), hard: read(8) };
}

/** Raw descriptors for what node:net and node:fs cannot open. The caller closes them. */
export const descriptors = {
  socket: (domain: number, type: number, protocol: number): number => check(c.socket(domain, type, protocol), 'socket', `${domain}/${type}`),
  bind: (fd: number, address: Uint8Array): void => void check(c.bind(fd, address, address.length), 'bind', `descriptor ${fd}`),
  connect: (fd: number, address: Uint8Array, subject: string): void => void check(c.connect(fd, address, address.length), 'connect', subject),
  shutdown: (fd: number, how: 0 | 1 | 2): void => void check(c.shutdown(fd, how), 'shutdown', `descriptor ${fd}`),
  send: (fd: number, bytes: Uint8Array): number => check(Number(c.send(fd, bytes, bytes.length, 0)), 'send', `descriptor ${fd}`),
  /** send(2) on another thread, for requests that the kernel works on for long. */
  sendElsewhere: (fd: number, bytes: Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => {
      c.send.async(fd, bytes, bytes.length, 0, (error: Error | null, sent: number | bigint) => {
        if (error !== null || Number(sent) < 0) reject(error ?? systemError('send', `descriptor ${fd}`, koffi.errno()));
        else resolve();
      });
    }),
  receive: (fd: number, buffer: Uint8Array): number => check(Number(c.recv(fd, buffer, buffer.length, 0)), 'recv', `descriptor ${fd}`),
  duplicateTo: (from: number, to: number): void => void check(c.dup2(from, to), 'dup2', `descriptor ${to}`),
  close: (fd: number): void => void check(c.close(fd), 'close', `descriptor ${fd}`),
  ioctl: (fd: number, request: number, argument: Uint8Array): void => void check(c.ioctl(fd, request, argument), 'ioctl', `descriptor ${fd}`),
};
