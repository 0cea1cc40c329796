import type { ContainerCreateOptions as Typed } from 'dockerode';
import { answerOf, type Bench, bytesOf, type Case, demultiplexed, eventually, textOf } from './case.ts';

/** The package's types lag behind the API. */
type ContainerCreateOptions = Omit<Typed, 'HostConfig'> & { HostConfig?: Record<string, unknown> };

/** Creates a container and tells all that inspect says of it. */
function created(name: string, options: Partial<ContainerCreateOptions>): Case {
  return {
    name: `create/${name}`,
    run: ({ docker }) => answerOf(async () => {
      const container = await docker.createContainer({ Image: 'busybox', name: 'subject', Cmd: ['sleep', '1000'], ...options });
      const { Mounts, ...seen } = await container.inspect();
      return { ...seen, Mounts: Mounts.toSorted((a, b) => (a.Destination < b.Destination ? -1 : 1)) };
    }),
  };
}

/** A create request that cannot be honoured: the status and the words of the refusal. */
function refused(name: string, options: Partial<ContainerCreateOptions>): Case {
  return { name: `refused/${name}`, run: ({ docker }) => answerOf(async () => (await docker.createContainer({ Image: 'busybox', name: 'subject', Cmd: ['true'], ...options })).id) };
}

const running = async ({ docker }: Bench, options: Partial<ContainerCreateOptions> = {}) => {
  const container = await docker.createContainer({ Image: 'busybox', name: 'subject', Cmd: ['sleep', '1000'], ...options });
  await container.start();
  return container;
};

const creation: readonly Case[] = [
  created('plain', {}),
  created('configuration', {
    Hostname: 'box', Domainname: 'example.org', User: '1000:50', WorkingDir: '/data', Env: ['A=1', 'PATH=/bin'], Labels: { one: '1', two: '' }, Entrypoint: ['sh', '-c'], Cmd: ['sleep 1000'], StopSignal: 'SIGINT', StopTimeout: 3,
    ExposedPorts: { '80/tcp': {}, '53/udp': {} }, Volumes: { '/anonymous': {} }, Tty: true, OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true,
    Healthcheck: { Test: ['CMD-SHELL', 'true'], Interval: 1_000_000_000, Timeout: 2_000_000_000, Retries: 4, StartPeriod: 5_000_000_000 },
  }),
  created('limits', {
    HostConfig: {
      Memory: 128 << 20, MemoryReservation: 64 << 20, MemorySwap: 256 << 20, NanoCpus: 500_000_000, CpuShares: 512, CpusetCpus: '0', CpusetMems: '0', PidsLimit: 50, OomScoreAdj: 100, Ulimits: [{ Name: 'nofile', Soft: 100, Hard: 200 }], ShmSize: 1 << 20, BlkioWeight: 300,
    },
  }),
  created('quota', { HostConfig: { CpuQuota: 50_000, CpuPeriod: 100_000, OomKillDisable: false, MemorySwap: -1, Memory: 64 << 20 } }),
  created('security', {
    HostConfig: { CapAdd: ['NET_ADMIN', 'CAP_SYS_TIME'], CapDrop: ['MKNOD'], SecurityOpt: ['no-new-privileges', 'seccomp=unconfined'], ReadonlyRootfs: true, GroupAdd: ['staff', '7'], Init: true },
  }),
  created('privileged', { HostConfig: { Privileged: true } }),
  created('namespaces', { HostConfig: { IpcMode: 'shareable', PidMode: 'host', UTSMode: 'host', CgroupnsMode: 'private' } }),
  created('mounts', {
    HostConfig: {
      Binds: ['/usr/share:/bound:ro', 'named:/volume'], Tmpfs: { '/scratch': 'size=1m' },
      Mounts: [{ Type: 'volume', Source: 'other', Target: '/other', ReadOnly: true }, { Type: 'tmpfs', Target: '/tmpfs', TmpfsOptions: { SizeBytes: 4096, Mode: 0o700 } }, { Type: 'bind', Source: '/usr/share', Target: '/third' }],
    },
  }),
  created('ports', { ExposedPorts: { '80/tcp': {}, '81/udp': {} }, HostConfig: { PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }], '81/udp': [{ HostPort: '9999' }] }, PublishAllPorts: true } }),
  created('network options', {
    MacAddress: '02:42:0a:4d:00:10',
    HostConfig: { Dns: ['192.0.2.1'], DnsSearch: ['example.org'], DnsOptions: ['ndots:2'], ExtraHosts: ['db:192.0.2.7'], Sysctls: { 'net.ipv4.ip_forward': '1' } },
  }),
  created('host network', { HostConfig: { NetworkMode: 'host' } }),
  created('no network', { HostConfig: { NetworkMode: 'none' } }),
  created('restart policy', { HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 }, LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } } } }),
  created('devices', { HostConfig: { Devices: [{ PathOnHost: '/dev/null', PathInContainer: '/dev/nothing', CgroupPermissions: 'rw' }], DeviceCgroupRules: ['c 1:3 rw'] } }),
  created('auto-remove', { HostConfig: { AutoRemove: true } }),
  created('cgroup parent', { HostConfig: { CgroupParent: '/subject-parent' } }),
  created('volumes-from nothing and container network', { HostConfig: { VolumesFrom: [] } }),
];

const refusals: readonly Case[] = [
  refused('no such image', { Image: 'nosuch' }),
  refused('bad name', { name: '-bad' }),
  refused('no command', { Cmd: [], Entrypoint: [''] }),
  refused('unknown restart policy', { HostConfig: { RestartPolicy: { Name: 'maybe' } } }),
  refused('restart with auto-remove', { HostConfig: { AutoRemove: true, RestartPolicy: { Name: 'always' } } }),
  refused('retries without on-failure', { HostConfig: { RestartPolicy: { Name: 'always', MaximumRetryCount: 3 } } }),
  refused('cpus and quota', { HostConfig: { NanoCpus: 1_000_000_000, CpuQuota: 1000 } }),
  refused('too little memory', { HostConfig: { Memory: 1000 } }),
  refused('swap below memory', { HostConfig: { Memory: 128 << 20, MemorySwap: 64 << 20 } }),
  refused('swap without memory', { HostConfig: { MemorySwap: 64 << 20 } }),
  refused('reservation above memory', { HostConfig: { Memory: 64 << 20, MemoryReservation: 128 << 20 } }),
  refused('cpuset that is none', { HostConfig: { CpusetCpus: 'abc' } }),
  refused('cpuset that is not there', { HostConfig: { CpusetCpus: '4000' } }),
  refused('too many cpus', { HostConfig: { NanoCpus: 1_000_000_000_000 } }),
  refused('weight out of range', { HostConfig: { BlkioWeight: 5 } }),
  refused('oom score out of range', { HostConfig: { OomScoreAdj: 5000 } }),
  refused('bad bind', { HostConfig: { Binds: ['a:b:c:d'] } }),
  refused('relative target', { HostConfig: { Binds: ['/tmp:relative'] } }),
  refused('same target twice', { HostConfig: { Binds: ['/tmp:/x', '/etc:/x'] } }),
  refused('mount whose source is missing', { HostConfig: { Mounts: [{ Type: 'bind', Source: '/nosuch/folder', Target: '/x' }] } }),
  refused('unknown log option', { HostConfig: { LogConfig: { Type: 'json-file', Config: { nosuch: '1' } } } }),
  refused('unknown runtime', { HostConfig: { Runtime: 'nosuch' } }),
  refused('unknown capability', { HostConfig: { CapAdd: ['NOSUCH'] } }),
  refused('unknown security option', { HostConfig: { SecurityOpt: ['nosuch=1'] } }),
  refused('unknown ipc mode', { HostConfig: { IpcMode: 'nosuch' } }),
  refused('unknown pid mode', { HostConfig: { PidMode: 'nosuch' } }),
  refused('bad port', { ExposedPorts: { '99999/tcp': {} } }),
  refused('bad binding', { HostConfig: { PortBindings: { '80/tcp': [{ HostPort: 'abc' }] } } }),
  refused('bad signal', { StopSignal: 'NOSUCH' }),
  refused('bad host entry', { HostConfig: { ExtraHosts: ['nocolon'] } }),
  refused('bad DNS server', { HostConfig: { Dns: ['nosuch'] } }),
  refused('negative shm', { HostConfig: { ShmSize: -1 } }),
  refused('short health interval', { Healthcheck: { Test: ['CMD', 'true'], Interval: 1 } }),
  refused('bad environment', { Env: ['=x'] }),
  refused('relative working directory', { WorkingDir: 'relative' }),
  refused('host mode with hostname', { Hostname: 'x', HostConfig: { UTSMode: 'host' } }),
  refused('kernel device limit of nothing', { HostConfig: { BlkioDeviceReadBps: [{ Path: '/dev/nosuch', Rate: 1000 }] } }),
  {
    name: 'refused/name in use',
    run: async ({ docker }) => {
      await docker.createContainer({ Image: 'busybox', name: 'subject' });
      return answerOf(() => docker.createContainer({ Image: 'busybox', name: 'subject' }));
    },
  },
];

const states: readonly Case[] = [
  {
    name: 'lifecycle/inspect in every state',
    run: async (bench) => {
      const container = await running(bench);
      const seen: Record<string, unknown> = { running: await container.inspect() };
      await container.pause();
      seen['paused'] = (await container.inspect()).State;
      await container.unpause();
      await container.kill();
      await container.wait();
      seen['killed'] = await container.inspect();
      await container.start();
      await container.stop({ t: 0 });
      seen['stopped'] = (await container.inspect()).State;
      return seen;
    },
  },
  {
    name: 'lifecycle/list in every state',
    run: async (bench) => {
      const container = await running(bench, { Labels: { l: '1' }, ExposedPorts: { '80/tcp': {} }, HostConfig: { PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1' }] }, Binds: ['named:/volume'] } });
      const list = async (): Promise<unknown> => (await bench.docker.listContainers({ all: true, size: true })).map((entry) => ({ ...entry, Status: entry.Status.replace(/\d+ seconds?|Less than a second/, '<duration>') }));
      const seen: Record<string, unknown> = { running: await list() };
      await container.stop({ t: 0 });
      seen['stopped'] = await list();
      return seen;
    },
  },
  {
    name: 'lifecycle/what a state forbids',
    run: async (bench) => {
      const { docker } = bench;
      const container = await docker.createContainer({ Image: 'busybox', name: 'subject', Cmd: ['sleep', '1000'] });
      const seen: Record<string, unknown> = {
        'stop created': await answerOf(() => container.stop()), 'kill created': await answerOf(() => container.kill()), 'pause created': await answerOf(() => container.pause()),
        'exec created': await answerOf(() => container.exec({ Cmd: ['true'] })), 'top created': await answerOf(() => container.top()), 'resize created': await answerOf(() => container.resize({ h: 1, w: 1 })),
      };
      await container.start();
      Object.assign(seen, {
        'start running': await answerOf(() => container.start()), 'remove running': await answerOf(() => container.remove()), 'unpause running': await answerOf(() => container.unpause()), 'rename to itself': await answerOf(() => container.rename({ name: 'subject' })),
        'rename badly': await answerOf(() => container.rename({ name: '-bad' })), 'kill with no signal': await answerOf(() => container.kill({ signal: 'NOSUCH' })),
      });
      await container.pause();
      Object.assign(seen, { 'pause paused': await answerOf(() => container.pause()), 'exec paused': await answerOf(() => container.exec({ Cmd: ['true'] })) });
      await container.remove({ force: true });
      const gone = docker.getContainer('subject');
      for (const [what, call] of Object.entries({ inspect: () => gone.inspect(), start: () => gone.start(), stop: () => gone.stop(), kill: () => gone.kill(), remove: () => gone.remove(), wait: () => gone.wait(), logs: () => gone.logs({ stdout: true }), stats: () => gone.stats({ stream: false }), top: () => gone.top(), changes: () => gone.changes() })) {
        seen[`${what} gone`] = await answerOf(call);
      }
      seen['exec gone'] = await answerOf(() => docker.getExec('nosuch').inspect());
      return seen;
    },
  },
  {
    name: 'lifecycle/start that fails',
    run: async ({ docker }) => {
      const container = await docker.createContainer({ Image: 'busybox', name: 'subject', Cmd: ['/nosuch'] });
      const answer = await answerOf(() => container.start());
      const { State } = await container.inspect();
      return { answer, State };
    },
  },
  {
    name: 'lifecycle/wait',
    run: async ({ docker }) => {
      const container = await docker.createContainer({ Image: 'busybox', name: 'subject', Cmd: ['sh', '-c', 'exit 3'] });
      const next = container.wait({ condition: 'next-exit' });
      const removed = container.wait({ condition: 'removed' });
      await container.start();
      const answers = { next: await next, notRunning: await container.wait(), wrong: await answerOf(() => container.wait({ condition: 'nosuch' as 'removed' })) };
      await container.remove();
      return { ...answers, removed: await removed };
    },
  },
  {
    name: 'lifecycle/update',
    run: async (bench) => {
      const container = await running(bench, { HostConfig: { Memory: 64 << 20 } });
      const update = await answerOf(() => container.update({ Memory: 128 << 20, MemorySwap: -1, CpuShares: 100, PidsLimit: 20, RestartPolicy: { Name: 'always' } }));
      const { HostConfig } = await container.inspect();
      return { update, HostConfig, tooLittle: await answerOf(() => container.update({ Memory: 100 })), both: await answerOf(() => container.update({ NanoCpus: 1e8, CpuQuota: 1000 })) };
    },
  },
  {
    name: 'lifecycle/rename, prune, remove with volumes',
    run: async ({ docker }) => {
      const container = await docker.createContainer({ Image: 'busybox', name: 'subject', Labels: { pruned: 'yes' }, Volumes: { '/v': {} } });
      await container.rename({ name: 'renamed' });
      const { Name } = await container.inspect();
      const volumes = async (): Promise<number> => (await docker.listVolumes()).Volumes.length;
      const before = await volumes();
      await container.remove({ v: true });
      await docker.createContainer({ Image: 'busybox', name: 'subject', Labels: { pruned: 'yes' } });
      const after = await volumes();
      return { Name, before, after, pruned: await docker.pruneContainers({ filters: { label: ['pruned=yes'] } }), none: await docker.pruneContainers({ filters: { label: ['pruned=yes'] } }), bad: await answerOf(() => docker.pruneContainers({ filters: { nosuch: ['x'] } })) };
    },
  },
  {
    name: 'lifecycle/restart policy',
    run: async ({ docker }) => {
      const container = await docker.createContainer({ Image: 'busybox', name: 'subject', Cmd: ['sh', '-c', 'exit 2'], HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 } } });
      const ended = container.wait({ condition: 'not-running' });
      await container.start();
      await ended;
      await eventually(async () => {
        const { RestartCount, State: { Running } } = await container.inspect();
        return RestartCount === 2 && !Running;
      });
      const { RestartCount, State } = await container.inspect();
      return { RestartCount, State };
    },
  },
  {
    name: 'lifecycle/health',
    run: async (bench) => {
      const container = await running(bench, { Healthcheck: { Test: ['CMD-SHELL', 'echo fine'], Interval: 100_000_000, Retries: 1 } });
      await eventually(async () => (await container.inspect()).State.Health?.Status === 'healthy');
      const { Health } = (await container.inspect()).State;
      return { ...Health, Log: Health?.Log.slice(-1) };
    },
  },
  {
    name: 'lifecycle/list filters',
    run: async ({ docker }) => {
      const one = await docker.createContainer({ Image: 'busybox', name: 'one', Cmd: ['sleep', '1000'], Labels: { kind: 'a', 'with-value': 'v' }, ExposedPorts: { '80/tcp': {} }, HostConfig: { Binds: ['named:/volume'] } });
      await docker.createContainer({ Image: 'busybox', name: 'two', Cmd: ['true'], Labels: { kind: 'b' } });
      await one.start();
      const names = async (filters: Record<string, string[]>): Promise<unknown> => answerOf(async () => (await docker.listContainers({ all: true, filters })).map(({ Names }) => Names[0] ?? '').toSorted());
      const filters: Record<string, string[]>[] = [
        { name: ['one'] }, { name: ['^/one$'] }, { name: ['o'] }, { label: ['kind'] }, { label: ['kind=a'] }, { label: ['kind=a', 'with-value=v'] }, { label: ['kind=a', 'kind=b'] }, { status: ['running'] }, { status: ['created', 'running'] }, { status: ['nosuch'] },
        { ancestor: ['busybox'] }, { ancestor: ['nosuch'] }, { before: ['two'] }, { since: ['one'] }, { before: ['nosuch'] }, { volume: ['named'] }, { volume: ['/volume'] }, { network: ['bridge'] }, { network: ['nosuch'] }, { exited: ['0'] }, { exited: ['x'] }, { health: ['none'] },
        { health: ['nosuch'] }, { expose: ['80'] }, { expose: ['80/tcp'] }, { expose: ['70-90/tcp'] }, { publish: ['80'] }, { publish: ['abc'] }, { 'is-task': ['true'] }, { isolation: ['default'] }, { id: [one.id.slice(0, 12)] }, { nosuch: ['x'] },
      ];
      return Object.fromEntries(await Promise.all(filters.map(async (filter) => [JSON.stringify(filter).replace(one.id.slice(0, 12), 'ID'), await names(filter)])));
    },
  },
];

const streams: readonly Case[] = [
  {
    name: 'streams/logs',
    run: async (bench) => {
      const container = await running(bench, { Cmd: ['sh', '-c', 'echo one; echo two >&2; printf three'] });
      await container.wait();
      const base = { stdout: true, stderr: true, follow: false } as const;
      const text = async (options: object): Promise<unknown> => answerOf(async () => demultiplexed(await container.logs({ ...base, ...options })));
      return { stdout: await text({ stderr: false }), stderr: await text({ stdout: false }), tail: await text({ tail: 1, stderr: false }), times: await text({ timestamps: true, stderr: false }), neither: await text({ stdout: false, stderr: false }), until: await text({ until: 1 }), since: await text({ since: 4_000_000_000 }) };
    },
  },
  {
    name: 'streams/attach with stdin that is closed half',
    run: async ({ docker }) => {
      const container = await docker.createContainer({ Image: 'busybox', name: 'subject', Cmd: ['sh', '-c', 'cat; echo end'], OpenStdin: true, StdinOnce: true });
      const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
      await container.start();
      stream.end('typed\n');
      return { text: demultiplexed(await bytesOf(stream)), exit: await container.wait() };
    },
  },
  {
    name: 'streams/attach to a terminal',
    run: async ({ docker }) => {
      const container = await docker.createContainer({ Image: 'busybox', name: 'subject', Cmd: ['sh', '-c', 'stty size; read line; echo got $line'], OpenStdin: true, Tty: true, HostConfig: { ConsoleSize: [30, 90] } });
      const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
      await container.start();
      await container.resize({ h: 31, w: 91 });
      stream.write('hello\n');
      const text = await textOf(stream);
      return { ending: text.split('\r\n').slice(-2), exit: await container.wait() };
    },
  },
  {
    name: 'streams/exec',
    run: async (bench) => {
      const container = await running(bench, { Env: ['OWN=1'] });
      const exec = await container.exec({ Cmd: ['sh', '-c', 'echo out; echo $OWN$MORE; id -u; pwd; cat; exit 4'], AttachStdin: true, AttachStdout: true, AttachStderr: true, Env: ['MORE=2'], User: '1000', WorkingDir: '/data' });
      const created = await exec.inspect();
      const stream = await exec.start({ hijack: true, stdin: true });
      stream.end('input\n');
      const text = demultiplexed(await bytesOf(stream));
      const failing = await container.exec({ Cmd: ['/nosuch'], AttachStdout: true });
      const failed = await answerOf(async () => textOf(await failing.start({})));
      return {
        created, text, ended: await exec.inspect(), again: await answerOf(async () => textOf(await exec.start({}))), none: await answerOf(() => container.exec({ Cmd: [] })), failed, failing: (await failing.inspect()).ExitCode,
      };
    },
  },
  {
    name: 'streams/top',
    run: async (bench) => {
      const container = await running(bench);
      const { Titles, Processes } = (await container.top()) as { Titles: string[]; Processes: string[][] };
      const custom = (await container.top({ ps_args: '-o pid,comm' })) as { Titles: string[]; Processes: string[][] };
      return { Titles, command: Processes.map((row) => row.at(-1)), custom: custom.Titles, names: custom.Processes.map((row) => row.at(-1)), bad: (await answerOf(() => container.top({ ps_args: '-o comm' })) as { statusCode?: number }).statusCode };
    },
  },
  {
    name: 'streams/stats',
    run: async (bench) => {
      const container = await running(bench, { HostConfig: { Memory: 64 << 20 } });
      const one = await container.stats({ stream: false, 'one-shot': true } as { stream: false });
      const two = await container.stats({ stream: false });
      const stopped = await bench.docker.createContainer({ Image: 'busybox', name: 'stopped' });
      return { one: shapeOf(one), two: shapeOf(two), limit: one.memory_stats.limit, stopped: shapeOf(await stopped.stats({ stream: false })) };
    },
  },
  {
    name: 'streams/files',
    run: async (bench) => {
      const container = await running(bench, { Cmd: ['sh', '-c', 'echo changed > /data/seed; mkdir /new; ln -s /new /link; rm /etc/group; exec sleep 1000'] });
      await eventually(async () => ((await container.changes()) as { Path: string }[]).some(({ Path }) => Path === '/etc/group'));
      const stat = async (path: string): Promise<unknown> => answerOf(async () => {
        const header = ((await container.infoArchive({ path })) as unknown as { headers?: Record<string, string> }).headers?.['x-docker-container-path-stat'] ?? '';
        return JSON.parse(Buffer.from(header, 'base64').toString() || 'null') as unknown;
      });
      return {
        changes: ((await container.changes()) as { Path: string }[]).toSorted((a, b) => (a.Path < b.Path ? -1 : 1)), file: await stat('/data/seed'), link: await stat('/link'), folder: await stat('/new'), root: await stat('/'), none: await stat('/nosuch'), empty: await stat(''),
        get: await answerOf(async () => textOf(await container.getArchive({ path: '/nosuch' }))), put: await answerOf(() => container.putArchive(Buffer.alloc(1024), { path: '/nosuch' })), onFile: await answerOf(() => container.putArchive(Buffer.alloc(1024), { path: '/data/seed' })),
      };
    },
  },
];

/** The names of all fields and the kinds of their values: for readings whose numbers differ. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shapeOf(value[0])];
  if (typeof value !== 'object' || value === null) return value === null ? null : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, shapeOf(entry)]));
}

export const containerCases: readonly Case[] = [...creation, ...refusals, ...states, ...streams];
