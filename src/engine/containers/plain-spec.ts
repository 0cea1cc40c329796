import type { Digest } from '../../api/mod.ts';
import type { ContainerSpec } from '../types.ts';

/** Log rotation when nobody says otherwise: on, so that no container fills the disk. */
export const defaultLogOptions = { maxSizeBytes: 10 << 20, maxFiles: 3 };

/** An ordinary container of the default network with default security: what callers change parts of. */
export function plainContainerSpec(request: { name: string; image: { id: string; reference: string }; args: string[] }): ContainerSpec {
  return {
    name: request.name,
    owner: { kind: 'user' },
    image: { id: request.image.id as Digest, reference: request.image.reference },
    args: request.args,
    env: [],
    workingDir: '/',
    user: '',
    supplementalGroups: [],
    hostname: '',
    tty: false,
    stdin: false,
    stdinOnce: false,
    stopSignal: 'SIGTERM',
    stopTimeoutSeconds: 10,
    labels: {},
    annotations: {},
    mounts: [],
    devices: [],
    resources: {},
    security: {
      isPrivileged: false,
      isReadOnlyRoot: false,
      noNewPrivileges: false,
      addCapabilities: [],
      dropCapabilities: [],
      seccomp: { kind: 'default' },
    },
    namespaces: { ipc: { mode: 'private' }, pid: { mode: 'private' }, uts: { mode: 'private' }, cgroup: { mode: 'private' }, user: { mode: 'host' } },
    network: { mode: 'bridge', endpoints: [{ network: 'bridge', aliases: [] }] },
    ports: [],
    extraHosts: [],
    dns: { servers: [], searches: [], options: [] },
    sysctls: {},
    restart: { name: 'no' },
    autoRemove: false,
    init: false,
    shmSizeBytes: 64 << 20,
    log: defaultLogOptions,
  };
}
