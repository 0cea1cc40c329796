import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatImageReference, parseImageReference } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';
import { dockerRoutes } from '../docker/routes.ts';
import { scopedRoutes } from '../docker/scoped-routes.ts';
import { busyboxSpec } from '../testing/run-to-end.ts';
import type { ContainerId, ContainerSpec } from '../types.ts';
import { admitContainer, type RuleContext } from './container-rules.ts';
import { type ScopeRecord, scopeRequestSchema } from './policy.ts';
import { privateReference, publicReference } from './private-names.ts';
import { Scope } from './scope.ts';

const namespaces = { ...busyboxSpec('').namespaces, user: { mode: 'default' } } as const;
const own = 'a'.repeat(64) as ContainerId;
const foreign = 'f'.repeat(64) as ContainerId;

function context(policy: unknown = {}): RuleContext {
  const request = scopeRequestSchema.parse({ name: 'job', policy });
  const record: ScopeRecord = { id: '0123456789abcdef', ...request, groupId: undefined, createdAtMs: 0, expiresAtMs: Number.MAX_SAFE_INTEGER, isClosing: false, pulled: [], imageIds: [] };
  return { scope: new Scope('/nowhere', record), ownsContainer: (id) => id === own, ownsVolume: (name) => name === 'mine', networkId: (name) => `id-of-${name}`, seesImage: () => true };
}

test('every end point of the Docker API says what it does at a scoped socket, and none that does not exist', () => {
  const routes = dockerRoutes.map(({ method, path }) => `${method} ${path}`);
  assert.deepEqual(routes.filter((route) => scopedRoutes[route] === undefined), [], 'end points without a declaration are refused');
  assert.deepEqual(Object.keys(scopedRoutes).filter((route) => !routes.includes(route)), []);
});

test('scopeRequestSchema has a ceiling for everything that is not named, and refuses what it does not know', () => {
  const { policy } = scopeRequestSchema.parse({ name: 'job' });
  assert.deepEqual(policy, {
    labels: {}, lifetimeSeconds: 3600, images: [], isPullAllowed: true, publish: 'loopback', perContainer: {},
    total: { containers: 32, networks: 8, volumes: 32, memoryBytes: 2 ** 31, cpus: 1, pids: 2048 },
  });
  for (const wrong of [{ name: 'Job' }, { name: '' }, { name: '../x' }, { name: 'a/b' }, { name: 'job', policy: { privileged: true } }, { name: 'job', policy: { lifetimeSeconds: 0 } }, { name: 'job', policy: { lifetimeSeconds: 1e9 } }, { name: 'job', policy: { total: { memoryBytes: 0 } } }]) {
    assert.equal(scopeRequestSchema.safeParse(wrong).success, false, JSON.stringify(wrong));
  }
});

const refused: Readonly<Record<string, Partial<ContainerSpec>>> = {
  'a pod\'s container': { owner: { kind: 'pod', sandboxId: 's', podUid: 'u', containerName: 'c', attempt: 0 } },
  'a link to a container of others': { links: [{ containerId: 'f'.repeat(64) as ContainerId, alias: 'x', ports: [] }] },
  'privilege': { security: { ...busyboxSpec('').security, isPrivileged: true } },
  'a capability': { security: { ...busyboxSpec('').security, addCapabilities: ['sys_admin'] } },
  'all capabilities': { security: { ...busyboxSpec('').security, addCapabilities: ['ALL'] } },
  'no seccomp': { security: { ...busyboxSpec('').security, seccomp: { kind: 'unconfined' } } },
  'a seccomp profile of its own': { security: { ...busyboxSpec('').security, seccomp: { kind: 'custom', profile: '{}' } } },
  'unmasked paths': { security: { ...busyboxSpec('').security, maskedPaths: [] } },
  'writable paths': { security: { ...busyboxSpec('').security, readonlyPaths: [] } },
  'a host folder': { mounts: [{ type: 'bind', source: '/', target: '/host', isReadOnly: true, propagation: 'rprivate', isRecursive: true, createSource: false }] },
  'a volume of somebody else': { mounts: [{ type: 'volume', volume: 'theirs', target: '/v', isReadOnly: true, copyUp: false }] },
  'a device': { devices: [{ hostPath: '/dev/null', containerPath: '/dev/x', permissions: 'r' }] },
  'annotations': { annotations: { 'run.oci.handler': 'krun' } },
  'the host\'s network': { network: { mode: 'host' } },
  'the network of a foreign container': { network: { mode: 'container', containerId: foreign } },
  'the network of a pod': { network: { mode: 'sandbox' } },
  ...Object.fromEntries((['ipc', 'pid', 'uts', 'cgroup'] as const).map((kind) => [`the host's ${kind} namespace`, { namespaces: { ...namespaces, [kind]: { mode: 'host' } } }])),
  ...Object.fromEntries((['ipc', 'pid'] as const).map((kind) => [`a foreign ${kind} namespace`, { namespaces: { ...namespaces, [kind]: { mode: 'container', containerId: foreign } } }])),
  'the host\'s users': { namespaces: { ...namespaces, user: { mode: 'host' } } },
  'users of its choice': { namespaces: { ...namespaces, user: { mode: 'remapped', range: { firstId: 1, size: 10 } } } },
  'a port for everybody': { ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '0.0.0.0', hostPort: 0 }] },
  'a port for everybody, by IPv6': { ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '::', hostPort: 0 }] },
  'a port of the machine\'s services': { ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 53 }] },
  'a rule for devices': { deviceRules: [{ type: 'a', access: 'rwm' }] },
  'a limit of a device': { resources: { blockDevices: [{ kind: 'read-bytes', path: '/dev/vda', value: 1 }] } },
  'too much memory': { resources: { memoryLimitBytes: 2 ** 31 + 1 } },
  'unlimited swap': { resources: { memorySwapBytes: -1 } },
  'too many processes': { resources: { pidsLimit: 2049 } },
  'too much CPU': { resources: { cpuQuotaMicros: 100_001, cpuPeriodMicros: 100_000 } },
  'being spared by the kernel': { resources: { oomScoreAdj: -500 } },
  'never being killed': { resources: { oomKillDisable: true } },
  'a name server on the host\'s loopback': { dns: { servers: ['127.0.0.53'], searches: [], options: [] } },
  'a log without end': { log: { maxSizeBytes: Number.MAX_SAFE_INTEGER, maxFiles: 1 } },
};

for (const [what, change] of Object.entries(refused)) {
  test(`admitContainer() refuses ${what}`, () => {
    assert.throws(() => admitContainer(busyboxSpec('true', { namespaces, ...change }), context()), (error) => isError(error, 'forbidden') && error.message.startsWith('the endpoint job does not allow this: '));
  });
}

test('admitContainer() refuses an image that the scope does not see, and fields it does not know', () => {
  assert.throws(() => admitContainer(busyboxSpec('true', { namespaces }), { ...context(), seesImage: () => false }), { code: 'forbidden' });
  const unknown = { ...busyboxSpec('true', { namespaces }), hooks: ['/bin/sh'] } as ContainerSpec;
  assert.throws(() => admitContainer(unknown, context()), { code: 'forbidden', message: /the field hooks/ });
});

test('admitContainer() lets ordinary containers pass, with labels, limits and the scope put on', () => {
  const policy = { labels: { tenant: 'ci', 'com.example': '1' }, perContainer: { memoryBytes: 2 ** 28, cpus: 0.5, pids: 100 } };
  const asked = busyboxSpec('true', {
    labels: { tenant: 'root', app: 'x', 'gantry.dev/scope': 'other' },
    mounts: [{ type: 'volume', volume: 'mine', target: '/v', isReadOnly: false, copyUp: true }, { type: 'tmpfs', target: '/t', isReadOnly: false, options: [] }],
    namespaces: { ...namespaces, ipc: { mode: 'container', containerId: own }, pid: { mode: 'container', containerId: own } },
    ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 0 }],
    scope: { id: 'forged', memoryLimitBytes: 1, cpuQuotaMicros: 1, pidsLimit: 1 },
  });
  const admitted = admitContainer(asked, context(policy));
  assert.deepEqual(admitted, {
    ...asked,
    labels: { tenant: 'ci', app: 'x', 'com.example': '1', 'gantry.dev/scope': 'job' },
    network: { mode: 'bridge', endpoints: [{ network: 'id-of-bridge', aliases: [] }] },
    resources: { memoryLimitBytes: 2 ** 28, pidsLimit: 100, cpuQuotaMicros: 50_000, cpuPeriodMicros: 100_000 },
    scope: { id: '0123456789abcdef', memoryLimitBytes: 2 ** 31, cpuQuotaMicros: 100_000, pidsLimit: 2048 },
  });
});

/** Image references as they are written: hosts with ports and in IPv6, deep paths, tags, digests. */
const component = fc.stringMatching(/^[a-z0-9]{1,6}([._-][a-z0-9]{1,6})?$/);
const host = fc.oneof(fc.constantFrom('docker.io', 'localhost:5000', 'registry.example:443', '10.0.0.1:5000', '[::1]:5000', '[fe80::1]', 'ipv6.aabb', 'ipv6:1'), fc.stringMatching(/^[a-z0-9]{1,8}\.[a-z]{2,5}(:[1-9][0-9]{0,3})?$/));
const reference = fc.tuple(host, fc.array(component, { minLength: 1, maxLength: 4 }), fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}$/)).map(([name, path, tag]) => `${name}/${path.join('/')}:${tag}`);

test('privateReference() keeps the names of scopes apart from each other and from the host\'s, and publicReference() leads back', () => {
  fc.assert(
    fc.property(reference, reference, (first, second) => {
      const full = formatImageReference(parseImageReference(first));
      const hidden = privateReference('0123456789abcdef', first);
      assert.equal(formatImageReference(parseImageReference(hidden)), hidden);
      assert.equal(publicReference('0123456789abcdef', hidden), full);
      assert.equal(publicReference(undefined, hidden), full);
      assert.equal(publicReference('fedcba9876543210', hidden), undefined);
      assert.equal(publicReference('0123456789abcdef', full), undefined);
      const other = formatImageReference(parseImageReference(second));
      assert.equal(privateReference('0123456789abcdef', second) === hidden, other === full);
    }),
  );
});

test('scopeRequestSchema never takes a name that is not one part of a path', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z0-9./-]{1,45}$/)), (name) => {
      const { success } = scopeRequestSchema.safeParse({ name });
      assert.equal(success, /^[a-z0-9-]{1,40}$/.test(name) && !name.startsWith('-') && !name.endsWith('-'));
    }),
  );
});
