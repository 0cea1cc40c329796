import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Digest, ImageConfig } from '../../../api/mod.ts';
import { isError, parseWith } from '../../../kernel/mod.ts';
import type { Image } from '../../images/types.ts';
import type { ContainerId, ContainerSpec } from '../../types.ts';
import { createContainerSchema, hostConfigSchema } from '../requests/create-container.ts';
import { mergeEnv, planContainer } from './container-spec.ts';
import { parseLink } from './links.ts';
import { parseBind, parseTmpfs, planMount } from './mounts.ts';
import { parseContainerPort, planPorts } from './ports.ts';
import { planSecurity } from './security.ts';

const id = `sha256:${'a'.repeat(64)}` as Digest;
const code = (...codes: string[]) => (error: unknown) => isError(error) && codes.includes(error.code);

function imageOf(config: ImageConfig['config']): Image {
  const whole: ImageConfig = { architecture: 'amd64', os: 'linux', config, rootfs: { type: 'layers', diff_ids: [] } };
  return { id, config: whole, references: [], digests: [], layers: [], sizeBytes: 0, lastTaggedAt: undefined, storedAtMs: 0 };
}

function plan(request: object, config: ImageConfig['config'] = { Cmd: ['sh'] }): ReturnType<typeof planContainer> {
  const parsed = parseWith(createContainerSchema, { Image: 'app', ...request }, 'request body');
  const other = { id: 'c'.repeat(64) as ContainerId, ports: ['80/tcp'], mounts: [{ type: 'volume' as const, volume: 'v', target: '/v', isReadOnly: false, copyUp: true }] };
  return planContainer(parsed, { name: 'name', image: imageOf(config), hostConfig: (request as { HostConfig?: Record<string, unknown> }).HostConfig ?? {}, hostName: 'machine', runtimes: ['runc'], container: () => other });
}

test('planContainer() merges command and entrypoint as Docker does', () => {
  const image = { Entrypoint: ['entry'], Cmd: ['default', 'args'] };
  const cases: [what: string, request: object, config: ImageConfig['config'], args: string[]][] = [
    ['the image alone', {}, image, ['entry', 'default', 'args']],
    ['a command', { Cmd: ['own'] }, image, ['entry', 'own']],
    ['a command as one text', { Cmd: 'own' }, image, ['entry', 'own']],
    ['an entrypoint drops the command', { Entrypoint: ['mine'] }, image, ['mine']],
    ['both', { Entrypoint: ['mine'], Cmd: ['own'] }, image, ['mine', 'own']],
    ['an entrypoint that is reset', { Entrypoint: [''], Cmd: ['own'] }, image, ['own']],
    ['empty lists say nothing', { Entrypoint: [], Cmd: [] }, image, ['entry', 'default', 'args']],
    ['nulls say nothing', { Entrypoint: null, Cmd: null }, { Cmd: ['sh'] }, ['sh']],
  ];
  for (const [what, request, config, args] of cases) assert.deepEqual(plan(request, config).spec.args, args, what);
  assert.throws(() => plan({ Entrypoint: [''] }, image), code('invalid'));
  assert.throws(() => plan({}, {}), code('invalid'));
});

test('planContainer() takes from the image what the request leaves out', () => {
  const { spec, mounts } = plan(
    { Env: ['A=2', 'C=3', 'GONE'], Labels: { l: 'own' }, Volumes: { '/own': {} } },
    { Cmd: ['x'], Env: ['A=1', 'B=1', 'GONE=1'], User: 'app', WorkingDir: '/srv', StopSignal: 'SIGINT', Labels: { l: 'image', k: 'image' }, Volumes: { '/data': {} }, ExposedPorts: { '80/tcp': {} }, Healthcheck: { Test: ['CMD-SHELL', 'true'], Retries: 2 } },
  );
  assert.deepEqual([spec.env, spec.user, spec.workingDir, spec.stopSignal, spec.labels], [['A=2', 'C=3', 'B=1'], 'app', '/srv', 'SIGINT', { l: 'own', k: 'image' }]);
  assert.deepEqual(mounts.map(({ type, target }) => [type, target]), [['volume', '/own'], ['volume', '/data']]);
  assert.deepEqual(spec.healthcheck, { Test: ['CMD-SHELL', 'true'], Retries: 2 });
  assert.deepEqual(spec.ports, []);
});

test('planContainer() turns HostConfig into the engine\'s words', () => {
  const { spec } = plan({
    ExposedPorts: { '53/udp': {}, '80': {} },
    HostConfig: {
      Memory: 67_108_864, NanoCpus: 1_500_000_000, PidsLimit: 100, RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 }, PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }] }, PublishAllPorts: true,
      CapAdd: ['NET_ADMIN'], SecurityOpt: ['no-new-privileges', 'seccomp=unconfined'], ShmSize: 1024, Dns: ['1.1.1.1'], ExtraHosts: ['db:10.0.0.1', 'v6:[::1]'], PidMode: 'host', IpcMode: 'container:other',
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } }, Ulimits: [{ Name: 'nofile', Soft: 1, Hard: 2 }], ConsoleSize: [0, 0], OomScoreAdj: 5, NetworkMode: 'back', Init: true,
    },
    NetworkingConfig: { EndpointsConfig: { back: { Aliases: ['db'], IPAMConfig: { IPv4Address: '10.1.0.5' } }, front: null } },
  });
  const expected: Partial<ContainerSpec> = {
    resources: { memoryLimitBytes: 67_108_864, cpuPeriodMicros: 100_000, cpuQuotaMicros: 150_000, pidsLimit: 100, oomScoreAdj: 5, ulimits: [{ name: 'nofile', soft: 1, hard: 2 }] },
    restart: { name: 'on-failure', maximumRetryCount: 3 },
    ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 8080 }, { protocol: 'udp', containerPort: 53, hostIp: '', hostPort: 0 }],
    security: { isPrivileged: false, isReadOnlyRoot: false, noNewPrivileges: true, addCapabilities: ['NET_ADMIN'], dropCapabilities: [], seccomp: { kind: 'unconfined' } },
    extraHosts: [{ ip: '10.0.0.1', names: ['db'] }, { ip: '::1', names: ['v6'] }],
    log: { maxSizeBytes: 10 * 2 ** 20, maxFiles: 3 },
    network: { mode: 'bridge', endpoints: [{ network: 'back', aliases: ['db'], ipv4Address: '10.1.0.5' }, { network: 'front', aliases: [] }] },
    shmSizeBytes: 1024,
    init: true,
  };
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((key) => [key, spec[key as keyof typeof spec]])), expected);
  assert.deepEqual([spec.namespaces.pid, spec.namespaces.ipc], [{ mode: 'host' }, { mode: 'container', containerId: 'c'.repeat(64) }]);
});

test('planContainer() accepts every field when it asks for nothing, and refuses unknown ones by name', () => {
  const zeros = Object.fromEntries(['BlkioDeviceReadBps', 'CgroupParent', 'CpuRealtimePeriod', 'DeviceRequests', 'KernelMemory', 'KernelMemoryTCP', 'StorageOpt', 'SomethingNew'].map((name, at) => [name, [null, '', 0, [], {}, false][at % 6]]));
  assert.equal(plan({ HostConfig: { ...zeros, MemorySwappiness: -1, OomKillDisable: false, PidsLimit: null, Binds: null, Tmpfs: null } }).spec.name, 'name');
  const refused: [request: object, field: string][] = [
    [{ HostConfig: { DeviceRequests: [{ Count: -1 }] } }, 'HostConfig.DeviceRequests'],
    [{ HostConfig: { CgroupParent: '/x' } }, 'HostConfig.CgroupParent'],
    [{ HostConfig: { SomethingNew: 1 } }, 'HostConfig.SomethingNew'],
    [{ OnBuild: ['RUN x'] }, 'OnBuild'],
    [{ HostConfig: { Memory: 'lots' } }, 'HostConfig.Memory'],
    [{ HostConfig: { Mounts: [{ Type: 'npipe', Target: '/x' }] } }, 'HostConfig.Mounts.0.Type'],
    [{ HostConfig: { Mounts: [{ Type: 'image', Target: '/x' }] } }, 'HostConfig.Mounts.0.Type'],
    [{ HostConfig: { BlkioDeviceReadBps: [{ Path: '/dev/x', Rate: 0 }] } }, 'HostConfig.BlkioDeviceReadBps.0.Rate'],
    [{ NetworkingConfig: { EndpointsConfig: { a: { DriverOpts: { x: 'y' } } } } }, 'NetworkingConfig.EndpointsConfig.a.DriverOpts'],
  ];
  for (const [request, field] of refused) {
    assert.throws(() => plan(request), (error) => isError(error, 'invalid') && error.places.some((place) => place.field === field), field);
  }
});

test('planSecurity() hands on an AppArmor profile where the kernel has AppArmor, and says so where it has none', () => {
  const asked = (profile: string) => hostConfigSchema.parse({ SecurityOpt: [`apparmor=${profile}`] });
  assert.equal(planSecurity(asked('web-server'), () => true).apparmorProfile, 'web-server');
  assert.equal(planSecurity(asked('unconfined'), () => false).apparmorProfile, undefined);
  assert.throws(() => planSecurity(asked('web-server'), () => false), { code: 'unsupported', message: /has no AppArmor/ });
  assert.throws(() => planSecurity(asked('a b'), () => true), { code: 'invalid' });
});

test('planContainer() refuses values it cannot honour', () => {
  const hosts: object[] = [
    { UsernsMode: 'x' }, { IpcMode: 'none' }, { UTSMode: 'x' }, { PidMode: 'x' }, { Isolation: 'hyperv' }, { Runtime: 'kata' }, { MemorySwappiness: 10 }, { NanoCpus: 1, CpuQuota: 5 }, { AutoRemove: true, RestartPolicy: { Name: 'always' } },
    { RestartPolicy: { Name: 'always', MaximumRetryCount: 2 } }, { SecurityOpt: ['label=type:x'] }, { SecurityOpt: ['seccomp={'] }, { LogConfig: { Type: 'journald' } }, { LogConfig: { Config: { tag: 'x' } } }, { ExtraHosts: ['nocolon'] }, { ShmSize: -1 },
    { PortBindings: { '80/sctp': [{}] } }, { PortBindings: { '80/tcp': [{ HostPort: '90-80' }] } }, { PortBindings: { '80/tcp': [{ HostPort: '0-80' }] } }, { DeviceCgroupRules: ['c 1:3 x'] }, { DeviceCgroupRules: ['d 1:3 r'] }, { PortBindings: { '0': [{}] } }, { PortBindings: { '80': [{ HostIp: 'localhost' }] } }, { Binds: ['/a:/b', '/c:/b/'] }, { VolumeDriver: 'nfs' },
    { VolumesFrom: ['a:b:c'] }, { Devices: [{ PathOnHost: '/dev/x', CgroupPermissions: 'x' }] },
  ];
  for (const host of hosts) assert.throws(() => plan({ HostConfig: host }), code('invalid', 'unsupported'), JSON.stringify(host));
});

test('a shell form of a health check runs in the image\'s shell, and NONE switches it off', () => {
  const image = { Cmd: ['x'], Shell: ['/bin/bash', '-c'], Healthcheck: { Test: ['CMD-SHELL', 'curl x'], Interval: 5 } };
  assert.deepEqual(plan({}, image).spec.healthcheck, { Test: ['CMD', '/bin/bash', '-c', 'curl x'], Interval: 5 });
  assert.equal(plan({ Healthcheck: { Test: ['NONE'] } }, image).spec.healthcheck, undefined);
  assert.deepEqual(plan({ Healthcheck: { Interval: 9 } }, { ...image, Shell: undefined }).spec.healthcheck, { Test: ['CMD-SHELL', 'curl x'], Interval: 9 });
  assert.throws(() => plan({ Healthcheck: { Test: ['CURL'] } }), code('invalid'));
});

test('parseBind() knows sources, targets and options', () => {
  const bind = (source: string, target: string, changed: object = {}) => ({ type: 'bind', source, target, isReadOnly: false, propagation: 'rprivate', isRecursive: true, createSource: true, ...changed });
  const volume = (name: string, target: string, changed: object = {}) => ({ type: 'volume', volume: name, target, isReadOnly: false, copyUp: true, labels: {}, options: {}, ...changed });
  const cases: [string, object][] = [
    ['/a:/b', bind('/a', '/b')], ['/a:/b:ro', bind('/a', '/b', { isReadOnly: true })], ['/a:/b:rw,rslave', bind('/a', '/b', { propagation: 'rslave' })], ['/a:/b:z,cached', bind('/a', '/b')],
    ['data:/b', volume('data', '/b')], ['data:/b:ro,nocopy', volume('data', '/b', { isReadOnly: true, copyUp: false })],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parseBind(text), expected, text);
  for (const text of ['', '/a', 'a', '/a:b', '/a:/b:/c:ro', '/a:/b:wrong', '../a:/b', 'da ta:/b', 'data:/b:rshared', '/a:/b:nocopy']) assert.throws(() => parseBind(text), code('invalid'), text);
});

test('planMount() and parseTmpfs() refuse what does not fit the type', () => {
  const mount = (fields: object) => planMount(parseWith(createContainerSchema, { Image: 'x', HostConfig: { Mounts: [fields] } }, 'body').HostConfig?.Mounts[0] ?? assert.fail('no mount'), 0);
  assert.deepEqual(mount({ Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: 5, Mode: 0o700, Options: [['noexec'], ['uid', '1']] } }), { type: 'tmpfs', target: '/t', isReadOnly: false, sizeBytes: 5, mode: 0o700, options: ['noexec', 'uid=1'] });
  assert.deepEqual(mount({ Type: 'volume', Target: '/t' }), { type: 'volume', volume: undefined, target: '/t', isReadOnly: false, copyUp: true, labels: {}, options: {} });
  assert.deepEqual(mount({ Type: 'bind', Source: '/s', Target: '/t', BindOptions: { Propagation: 'shared', NonRecursive: true } }), { type: 'bind', source: '/s', target: '/t', isReadOnly: false, propagation: 'shared', isRecursive: false, createSource: false });
  for (const fields of [{ Type: 'tmpfs', Source: 'x', Target: '/t' }, { Type: 'bind', Source: 'x', Target: '/t' }, { Type: 'volume', Target: '/t', BindOptions: {} }, { Type: 'bind', Source: '/s', Target: '/t', BindOptions: { Propagation: 'x' } },
    ...[['bind'], ['shared'], ['remount'], ['noexec,bind'], ['uid', '0,bind'], ['mode', '755']].map((option) => ({ Type: 'tmpfs', Target: '/t', TmpfsOptions: { Options: [option] } })), { Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: -1 } }, { Type: 'tmpfs', Target: '/t', TmpfsOptions: { Mode: 0o20000 } }]) {
    assert.throws(() => mount(fields), code('invalid'), JSON.stringify(fields));
  }
  assert.deepEqual(parseTmpfs('/t', 'ro,size=2m,mode=1777,noexec'), { type: 'tmpfs', target: '/t', isReadOnly: true, sizeBytes: 2 * 2 ** 20, mode: 0o1777, options: ['noexec'] });
  for (const options of ['bogus', 'bind', 'size=99999999999999999999', 'size=-1']) assert.throws(() => parseTmpfs('/t', options), code('invalid'), options);
});

test('parseLink() and planContainer() read links: to containers on the default network, by names on another', () => {
  for (const [text, container, alias] of [['db', 'db', 'db'], ['db:store', 'db', 'store'], ['/db:/web/store', 'db', 'store']] as const) assert.deepEqual(parseLink(text), { container, alias });
  for (const text of ['', ':', 'a:b:c', 'a:', 'a:b c', 'a:b\nc', '/']) assert.throws(() => parseLink(text), code('invalid'), text);
  const main = plan({ HostConfig: { Links: ['db:store', 'db:store'] } }).spec;
  assert.deepEqual([main.links, main.network], [[{ containerId: 'c'.repeat(64), alias: 'store', ports: ['80/tcp'] }], { mode: 'bridge', endpoints: [{ network: 'bridge', aliases: [] }] }]);
  const own = plan({ HostConfig: { NetworkMode: 'back', Links: ['db:store'] }, NetworkingConfig: { EndpointsConfig: { front: { Links: ['web'] } } } }).spec;
  assert.deepEqual([own.links, own.network], [undefined, { mode: 'bridge', endpoints: [{ network: 'back', aliases: [], links: [{ container: 'db', alias: 'store' }] }, { network: 'front', aliases: [], links: [{ container: 'web', alias: 'web' }] }] }]);
  for (const host of [{ NetworkMode: 'host', Links: ['db'] }, { NetworkMode: 'none', Links: ['db'] }, { Links: ['db:x', 'other:x'] }]) assert.throws(() => plan({ HostConfig: host }), code('invalid'));
});

test('planPorts() publishes what is bound and, when asked, what is exposed', () => {
  assert.deepEqual(planPorts({ '53/udp': [{ HostIp: '127.0.0.1', HostPort: '5353' }], '80/tcp': [] }, ['80/tcp', '443/tcp'], true), [
    { protocol: 'udp', containerPort: 53, hostIp: '127.0.0.1', hostPort: 5353 }, { protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 0 }, { protocol: 'tcp', containerPort: 443, hostIp: '', hostPort: 0 },
  ]);
  assert.deepEqual(planPorts({ '80/tcp': [{ HostIp: '[::1]', HostPort: '8000-8010' }, { HostPort: '80-80' }] }, [], false), [
    { protocol: 'tcp', containerPort: 80, hostIp: '::1', hostPort: 8000, hostPortLast: 8010 }, { protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 80 },
  ]);
});

test('port, mount and bind specs of any text never fail otherwise than with a GantryError', () => {
  const near = fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-z/:,.=-]{0,30}$/));
  fc.assert(fc.property(near, (text) => {
    for (const parse of [() => parseContainerPort(text), () => parseBind(text), () => parseTmpfs('/t', text)]) {
      try {
        parse();
      } catch (error) {
        assert.ok(isError(error, 'invalid', 'unsupported'), String(error));
      }
    }
  }), { numRuns: 500 });
});

test('whatever a request says of ports and mounts, what is planned is within what the engine takes, or refused', () => {
  const text = fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom('', '/', '/a', '/a/../b', 'a', '..', '../a', 'a:b', '0', '80', '8000-8010', '10-1', '65535', '65536', '-1', '80/tcp', '53/UDP', '1/sctp', '::1', '[::1]', '127.0.0.1', 'local', 'nfs', 'rshared', 'noexec', 'bind', 'uid=1'));
  const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 3 });
  const mount = fc.record({
    Type: fc.constantFrom('bind', 'volume', 'tmpfs', 'npipe'), Source: maybe(text), Target: text, ReadOnly: maybe(fc.boolean()),
    BindOptions: maybe(fc.record({ Propagation: text, NonRecursive: fc.boolean(), CreateMountpoint: fc.boolean() })), VolumeOptions: maybe(fc.record({ NoCopy: fc.boolean(), Subpath: text, DriverConfig: fc.record({ Name: text }) })),
    TmpfsOptions: maybe(fc.record({ SizeBytes: fc.integer(), Mode: fc.integer(), Options: fc.array(fc.array(text, { minLength: 1, maxLength: 2 }), { maxLength: 3 }) })),
  });
  const request = fc.record({
    Mounts: fc.array(mount, { maxLength: 2 }), Binds: fc.array(fc.array(text, { maxLength: 4 }).map((parts) => parts.join(':')), { maxLength: 2 }), Tmpfs: fc.dictionary(text, text, { maxKeys: 1 }),
    PortBindings: fc.dictionary(text, fc.array(fc.record({ HostIp: text, HostPort: text }), { maxLength: 2 }), { maxKeys: 2 }), PublishAllPorts: fc.boolean(),
  });
  const seen = { planned: 0, refused: 0 };
  fc.assert(fc.property(request, (HostConfig) => {
    try {
      const { spec: { ports }, mounts } = plan({ HostConfig });
      seen.planned += 1;
      for (const { containerPort, hostPort, hostPortLast = hostPort, hostIp } of ports) {
        assert.ok(containerPort >= 1 && containerPort <= 65_535 && hostPort >= 0 && hostPort <= hostPortLast && hostPortLast <= 65_535 && (hostIp === '' || isIP(hostIp) > 0), JSON.stringify(ports));
      }
      for (const planned of mounts) {
        if (planned.type === 'bind') assert.ok(planned.source.startsWith('/'));
        if (planned.type === 'volume') assert.ok((planned.volume === undefined || /^[\w][\w.-]*$/.test(planned.volume)) && !(planned.subpath ?? '').split('/').includes('..') && planned.subpath?.startsWith('/') !== true, JSON.stringify(planned));
        if (planned.type === 'tmpfs') assert.ok(planned.options.every((option) => !/[,\s]|bind|shared|remount/.test(option)) && (planned.sizeBytes ?? 0) >= 0 && (planned.mode ?? 0) >= 0 && (planned.mode ?? 0) <= 0o7777, JSON.stringify(planned));
      }
    } catch (error) {
      assert.ok(isError(error, 'invalid', 'unsupported'), String(error));
      seen.refused += 1;
    }
  }), { numRuns: 1000 });
  assert.ok(seen.planned > 0 && seen.refused > 0, JSON.stringify(seen));
});

test('mergeEnv() has the request\'s variables first, as Docker does', () => {
  assert.deepEqual(mergeEnv(['A=1', 'B=2', 'C=3'], ['D=4', 'B=', 'A']), ['D=4', 'B=', 'C=3']);
});
