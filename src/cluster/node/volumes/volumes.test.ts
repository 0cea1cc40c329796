import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { k8s } from '../../../api/mod.ts';
import { unmountBelow } from '../../../host/mod.ts';
import { isError } from '../../../kernel/mod.ts';
import type { ConfigSource } from '../config-source.ts';
import type { PodSockets } from '../ports.ts';
import { writeAtomicFolder } from './atomic-folder.ts';
import { usesConfig } from './config-references.ts';
import { diskLimitsOf, planEviction } from './disk-limits.ts';
import { prepareHostPath } from './host-path.ts';
import { bindSubPath } from './sub-path.ts';
import { VolumeManager } from './volume-manager.ts';

const needsRoot = process.getuid?.() === 0 ? false : 'needs root: mounts';
const signal = AbortSignal.timeout(120_000);

async function openFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'gantry-volumes-'));
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      unmountBelow(path);
      await rm(path, { recursive: true, force: true });
    },
  };
}

const noClaims = { prepare: () => Promise.reject(new Error('no claims here')) };
const files = (entries: Record<string, string>, mode = 0o644) => new Map(Object.entries(entries).map(([path, text]) => [path, { data: Buffer.from(text), mode }]));

test('writeAtomicFolder() shows exactly the payload and swaps it as a whole', async () => {
  await using folder = await openFolder();
  const volume = join(folder.path, 'v');
  assert.equal(await writeAtomicFolder(volume, files({ a: '1', 'sub/b': '2', 'sub/c': '3' }), undefined), true);
  const first = await readlink(join(volume, '..data'));
  assert.equal(await readFile(join(volume, 'sub/b'), 'utf8'), '2');
  assert.equal(await writeAtomicFolder(volume, files({ a: '1', 'sub/b': '2', 'sub/c': '3' }), undefined), false);
  assert.equal(await readlink(join(volume, '..data')), first);
  assert.equal(await writeAtomicFolder(volume, files({ a: '9', d: '4' }, 0o400), undefined), true);
  assert.deepEqual((await readdir(volume)).filter((name) => !name.startsWith('..')).toSorted(), ['a', 'd']);
  assert.equal((await readdir(volume)).filter((name) => name.startsWith('..')).length, 2);
  assert.equal((await stat(join(volume, 'd'))).mode & 0o777, 0o400);
});

test('writeAtomicFolder() refuses paths that lead out', async () => {
  await using folder = await openFolder();
  for (const path of ['../x', '/x', 'a/../../x', '', '..data', 'a//b']) {
    await assert.rejects(writeAtomicFolder(join(folder.path, 'v'), files({ [path]: '' }), undefined), (error) => isError(error, 'invalid'), path);
  }
});

test('bindSubPath() mounts a part of a volume and trusts no link in it', { skip: needsRoot }, async () => {
  await using folder = await openFolder();
  const volume = join(folder.path, 'v');
  await mkdir(join(volume, 'real'), { recursive: true });
  await writeFile(join(volume, 'real/file'), 'x');
  await symlink('/etc', join(volume, 'out'));
  await symlink('real', join(volume, 'inside'));
  assert.equal(await readFile(join(await bindSubPath(volume, 'real', join(folder.path, 't1')), 'file'), 'utf8'), 'x');
  assert.equal(await readFile(join(await bindSubPath(volume, 'inside', join(folder.path, 't2')), 'file'), 'utf8'), 'x');
  assert.equal(await readFile(await bindSubPath(volume, 'real/file', join(folder.path, 't3')), 'utf8'), 'x');
  await bindSubPath(volume, 'new/deep', join(folder.path, 't4'));
  assert.ok((await stat(join(volume, 'new/deep'))).isDirectory());
  for (const path of ['out', 'out/passwd', '../x', '/etc', 'real/../../x']) {
    await assert.rejects(bindSubPath(volume, path, join(folder.path, 'bad')), (error) => isError(error, 'invalid'), path);
  }
});

test('prepareHostPath() checks what the type says and creates what it may', async () => {
  await using folder = await openFolder();
  const at = (name: string): string => join(folder.path, name);
  await prepareHostPath({ path: at('dir'), type: 'DirectoryOrCreate' });
  await prepareHostPath({ path: at('file'), type: 'FileOrCreate' });
  await prepareHostPath({ path: at('file') });
  assert.deepEqual([(await stat(at('dir'))).isDirectory(), (await stat(at('file'))).isFile()], [true, true]);
  for (const [name, type] of [['file', 'Directory'], ['dir', 'File'], ['none', 'Directory'], ['none', 'Socket'], ['dir', 'Nonsense']] as const) {
    await assert.rejects(prepareHostPath({ path: at(name), type }), (error) => isError(error, 'invalid'), `${name} ${type}`);
  }
});

const source: ConfigSource = {
  configMap: async () => ({ data: { 'app.conf': 'x' } }),
  secret: async () => ({ data: { key: Buffer.from('k').toString('base64') } }),
  services: () => [],
  serviceAccountToken: async () => ({ token: 'jwt', expiresAtMs: Date.now() + 1_000_000 }),
  allocatable: { cpuMilli: 1000, memoryBytes: 2 ** 30, ephemeralStorageBytes: 2 ** 30 },
};

test('VolumeManager opens the socket of a pod once it is asked for, within the pod\'s limits, and closes it with the pod', { skip: needsRoot }, async () => {
  await using folder = await openFolder();
  const calls: unknown[] = [];
  const sockets: PodSockets = {
    open: async (podUid, limits) => (calls.push(['open', podUid, limits]), '/run/its.sock'),
    close: async (podUid) => void calls.push(['close', podUid]),
    podUids: () => ['gone'],
  };
  const folders = { dataFolder: join(folder.path, 'data'), runFolder: join(folder.path, 'run') };
  const manager = new VolumeManager(folders, source, noClaims, sockets);
  const container: k8s.Container = { name: 'job', resources: { limits: { memory: '1Gi', cpu: '1500m' } }, volumeMounts: [{ name: 'docker', mountPath: '/var/run/docker.sock' }] };
  const pod = (driver: string): k8s.Pod => ({ metadata: { name: 'job', namespace: 'ns', uid: 'u1' }, spec: { containers: [container], volumes: [{ name: 'docker', csi: { driver } }] } });
  const facts = (driver: string) => ({ pod: pod(driver), podIp: '', nodeName: 'n', nodeIp: '10.0.0.1' });
  await assert.rejects(manager.prepare(facts('other'), signal), (error) => isError(error, 'unsupported'));
  await manager.prepare(facts('docker.gantry.dev'), signal);
  const [mount] = await manager.mountsOf(pod('docker.gantry.dev'), container, 0, new Map());
  assert.deepEqual([mount?.hostPath, mount?.containerPath], ['/run/its.sock', '/var/run/docker.sock']);
  assert.ok((await manager.listPods()).includes('gone'));
  await manager.release('u1');
  assert.deepEqual(calls, [['open', 'u1', { memoryBytes: 2 ** 30, cpuMilli: 1500 }], ['close', 'u1']]);
});

test('VolumeManager prepares all kinds, and releases nothing that is not its own', { skip: needsRoot }, async () => {
  await using folder = await openFolder();
  const manager = new VolumeManager({ dataFolder: join(folder.path, 'data'), runFolder: join(folder.path, 'run') }, source, noClaims);
  const host = join(folder.path, 'host');
  await mkdir(join(host, 'kept'), { recursive: true });
  const container: k8s.Container = { name: 'app', volumeMounts: ['memory', 'all', 'host'].map((name) => ({ name, mountPath: `/${name}` })) };
  container.volumeMounts?.push({ name: 'host', mountPath: '/part', subPathExpr: '$(WHICH)' });
  const pod: k8s.Pod = {
    metadata: { name: 'web', namespace: 'ns', uid: 'u1', labels: { app: 'shop' } },
    spec: {
      securityContext: { fsGroup: 2000 },
      containers: [container],
      volumes: [
        { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
        { name: 'host', hostPath: { path: host, type: 'Directory' } },
        {
          name: 'all',
          projected: {
            defaultMode: 0o440,
            sources: [
              { configMap: { name: 'conf', items: [{ key: 'app.conf', path: 'etc/app.conf', mode: 0o600 }] } },
              { secret: { name: 'keys' } },
              { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
              { serviceAccountToken: { path: 'token' } },
            ],
          },
        },
      ],
    },
  };
  const facts = { pod, nodeName: 'n', nodeIp: '10.0.0.1', podIp: '' };
  const { renewAtMs } = await manager.prepare(facts, signal);
  assert.ok((renewAtMs ?? 0) > Date.now() + 700_000);
  await manager.prepare(facts, signal);
  const mounts = await manager.mountsOf(pod, container, 0, new Map([['WHICH', 'kept']]));
  const pathOf = (target: string): string => mounts.find(({ containerPath }) => containerPath === target)?.hostPath ?? '';
  assert.deepEqual(mounts.map(({ containerPath, isReadOnly }) => [containerPath, isReadOnly]), [['/memory', false], ['/all', true], ['/host', false], ['/part', false], ['/dev/termination-log', false]]);
  const shown = await Promise.all(['etc/app.conf', 'key', 'labels', 'token'].map(async (name) => [await readFile(join(pathOf('/all'), name), 'utf8'), (await stat(join(pathOf('/all'), name))).mode & 0o777, (await stat(join(pathOf('/all'), name))).gid]));
  assert.deepEqual(shown, [['x', 0o640, 2000], ['k', 0o440, 2000], ['app="shop"', 0o440, 2000], ['jwt', 0o644, 2000]]);
  const memory = await stat(pathOf('/memory'));
  assert.deepEqual([memory.mode & 0o7777, memory.gid, pathOf('/host')], [0o2777, 2000, host]);
  await assert.rejects(writeFile(join(pathOf('/memory'), 'big'), Buffer.alloc(2 << 20)), /ENOSPC/);
  assert.deepEqual(await manager.listPods(), ['u1']);
  await manager.release('u1');
  assert.deepEqual([await manager.listPods(), await readdir(host)], [[], ['kept']]);
  await manager.release('u1');
});

test('VolumeManager.prepare() ends only when the last volume has, also when one fails', async () => {
  await using folder = await openFolder();
  const slow = Promise.withResolvers<k8s.ConfigMap>();
  const asked = Promise.withResolvers<void>();
  const configMap = (): Promise<k8s.ConfigMap> => (asked.resolve(), slow.promise);
  const source: ConfigSource = { configMap, secret: () => Promise.resolve(undefined), services: () => [], serviceAccountToken: () => Promise.reject(new Error('none')), allocatable: { cpuMilli: 0, memoryBytes: 0, ephemeralStorageBytes: 0 } };
  const manager = new VolumeManager({ dataFolder: join(folder.path, 'data'), runFolder: join(folder.path, 'run') }, source, noClaims);
  const pod: k8s.Pod = { metadata: { name: 'p', namespace: 'ns', uid: 'u1' }, spec: { containers: [], volumes: [{ name: 'claim', persistentVolumeClaim: { claimName: 'c' } }, { name: 'conf', configMap: { name: 'conf' } }] } };
  const state = { isOver: false };
  const prepared = manager.prepare({ pod, nodeName: 'n', nodeIp: '', podIp: '' }, signal).catch((error: unknown) => {
    state.isOver = true;
    return String(error);
  });
  await asked.promise;
  await new Promise(setImmediate);
  assert.equal(state.isOver, false);
  slow.resolve({ data: { key: 'value' } });
  assert.match((await prepared) as string, /no claims here/);
  assert.equal(await readFile(join(folder.path, 'run/u1/volumes/conf/key'), 'utf8'), 'value');
});

test('planEviction() ends a pod that uses more than it may', () => {
  const spec: k8s.PodSpec = {
    containers: [{ name: 'a', resources: { limits: { 'ephemeral-storage': '1Ki' } } }, { name: 'b', resources: { limits: { 'ephemeral-storage': '1Ki' } } }],
    volumes: [{ name: 'small', emptyDir: { sizeLimit: '100' } }, { name: 'free', emptyDir: {} }, { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1' } }],
  };
  const limits = diskLimitsOf(spec);
  assert.deepEqual(limits, { volumes: new Map([['small', 100]]), total: 2048 });
  const reasons = [{ small: 100, free: 1000 }, { small: 101, free: 0 }, { small: 0, free: 2049 }].map((used) => planEviction(limits ?? { volumes: new Map(), total: 0 }, new Map(Object.entries(used)))?.message);
  assert.deepEqual(reasons.map((message) => message?.slice(0, 38)), [undefined, 'Usage of EmptyDir volume "small" exceed', 'Pod ephemeral local storage usage exce'].map((text) => text?.slice(0, 38)));
  assert.equal(diskLimitsOf({ containers: [{ name: 'a' }], volumes: [{ name: 'v', emptyDir: {} }] }), undefined);
});

test('VolumeManager measures what is on disk', async () => {
  await using folder = await openFolder();
  const manager = new VolumeManager({ dataFolder: join(folder.path, 'data'), runFolder: join(folder.path, 'run') }, source, noClaims);
  const pod: k8s.Pod = { metadata: { name: 'web', uid: 'u1' }, spec: { containers: [], volumes: [{ name: 'v', emptyDir: {} }] } };
  await manager.prepare({ pod, nodeName: 'n', nodeIp: '', podIp: '' }, signal);
  await writeFile(join(folder.path, 'data/u1/volumes/v/file'), Buffer.alloc(300_000, 1));
  const used = (await manager.diskUse(pod, signal)).get('v') ?? 0;
  assert.ok(used >= 300_000 && used < 400_000, String(used));
});

test('usesConfig() finds references in volumes, variables and pull secrets', () => {
  const container = (change: Partial<k8s.Container>): k8s.PodSpec => ({ containers: [{ name: 'c', ...change }] });
  const table: [k8s.PodSpec, 'ConfigMap' | 'Secret', boolean][] = [
    [container({}), 'ConfigMap', false],
    [container({ envFrom: [{ configMapRef: { name: 'x' } }] }), 'ConfigMap', true],
    [container({ env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'x', key: 'k' } } }] }), 'Secret', true],
    [container({ env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'x', key: 'k' } } }] }), 'ConfigMap', false],
    [{ containers: [], volumes: [{ name: 'v', secret: { secretName: 'x' } }] }, 'Secret', true],
    [{ containers: [], volumes: [{ name: 'v', projected: { sources: [{ configMap: { name: 'x' } }] } }] }, 'ConfigMap', true],
    [{ containers: [], imagePullSecrets: [{ name: 'x' }] }, 'Secret', true],
  ];
  for (const [spec, kind, expected] of table) assert.equal(usesConfig(spec, kind, 'x'), expected);
});
