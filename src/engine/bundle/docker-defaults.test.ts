import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { defaultCapabilities, planCapabilities } from './capabilities.ts';
import { defaultMaskedPaths, defaultReadonlyPaths } from './masked-paths.ts';
import { hardenProfile, parseSeccompProfile, toOciSeccomp } from './seccomp.ts';

/** Docker 28's defaults as they are documented, kept as data: ours may be stricter and never looser. */
const docker = {
  capabilities: 'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT'.split(' ').map((name) => `CAP_${name}`),
  masked: '/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi /proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware'.split(' '),
  readonly: '/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger'.split(' '),
  /** System calls that the default profile lets through only with a capability that is not among the defaults, or never. */
  denied: (
    'acct bpf clock_settime clock_settime64 delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick get_mempolicy init_module ioperm iopl kcmp lookup_dcookie mbind mount mount_setattr move_mount open_by_handle_at ' +
    'open_tree perf_event_open pidfd_getfd process_madvise quotactl quotactl_fd reboot set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday stime syslog umount umount2 unshare vhangup ' +
    '_sysctl add_key create_module get_kernel_syms kexec_file_load kexec_load keyctl move_pages nfsservctl pivot_root query_module request_key swapoff swapon sysfs uselib userfaultfd ustat vm86 vm86old'
  ).split(' '),
  /** Those that programs of every kind need. */
  needed: 'read write open openat close stat fstat lstat mmap mprotect munmap brk execve fork vfork wait4 exit_group futex epoll_wait accept4 bind listen connect sendto recvfrom clone kill ptrace chroot mknod setuid setgid getrandom statx prctl'.split(' '),
};

const profileFile = '/usr/share/containers/seccomp.json';
const skip = existsSync(profileFile) ? false : `needs ${profileFile}`;

test('the default capabilities are Docker’s', () => {
  assert.deepEqual([...defaultCapabilities].toSorted(), docker.capabilities);
  assert.deepEqual(planCapabilities({ isPrivileged: false, addCapabilities: [], dropCapabilities: [] }).toSorted(), docker.capabilities);
});

test('what Docker masks or makes read-only is masked or read-only', () => {
  assert.deepEqual(docker.masked.filter((path) => !defaultMaskedPaths.includes(path)), []);
  assert.deepEqual(docker.readonly.filter((path) => !defaultReadonlyPaths.includes(path)), []);
});

test('the default seccomp profile lets nothing through that Docker’s denies, and what programs need', { skip }, () => {
  const profile = hardenProfile(parseSeccompProfile(readFileSync(profileFile, 'utf8'), profileFile));
  const oci = toOciSeccomp(profile, { architecture: 'x64', capabilities: defaultCapabilities, kernelRelease: '6.12.0', is32BitAllowed: false });
  assert.match(oci.defaultAction, /^SCMP_ACT_(ERRNO|KILL)/);
  const allowed = new Set(oci.syscalls.filter(({ action }) => action === 'SCMP_ACT_ALLOW').flatMap(({ names }) => names));
  assert.deepEqual(docker.denied.filter((name) => allowed.has(name)), []);
  assert.deepEqual(docker.needed.filter((name) => !allowed.has(name)), []);
  const sockets = oci.syscalls.filter(({ names }) => names.includes('socket'));
  assert.deepEqual(sockets.map(({ action, args }) => [action, args]), [['SCMP_ACT_ALLOW', [{ index: 0, value: 40, valueTwo: 0, op: 'SCMP_CMP_NE' }]]]);
  // No new namespaces.
  const clone = oci.syscalls.filter(({ names, action }) => names.includes('clone') && action === 'SCMP_ACT_ALLOW');
  assert.deepEqual(clone.map(({ args }) => args), [[{ index: 0, value: 0x7e020000, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }]]);
});
