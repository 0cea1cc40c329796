import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../api/mod.ts';
import { isError } from '../../kernel/mod.ts';
import type { ConfigSource } from './config-source.ts';
import { fieldText, resourceText } from './downward.ts';
import { resolveEnvironment } from './environment.ts';
import { expand } from './expansion.ts';

const signal = AbortSignal.timeout(10_000);
const pod: k8s.Pod = {
  metadata: { name: 'web', namespace: 'ns', uid: 'u', labels: { app: 'shop', 'a/b': 'q"' }, annotations: { note: 'n' } },
  spec: { serviceAccountName: 'sa', containers: [{ name: 'app', resources: { requests: { cpu: '250m' }, limits: { memory: '64Mi' } } }] },
};
const facts = { pod, nodeName: 'node', nodeIp: '10.0.0.1', podIp: '10.1.0.2' };
const allocatable = { cpuMilli: 2000, memoryBytes: 2 ** 30, ephemeralStorageBytes: 2 ** 40 };
const service = (name: string, clusterIP: string, ports: k8s.ServicePort[]): k8s.Service => ({ metadata: { name }, spec: { clusterIP, ports } });

const source: ConfigSource = {
  configMap: async (_namespace, name) => (name === 'conf' ? { data: { a: '1', b: '2' } } : undefined),
  secret: async (_namespace, name) => (name === 'keys' ? { data: { token: Buffer.from('s3cret').toString('base64') } } : undefined),
  services: (namespace) => (namespace === 'ns' ? [service('my-db', '10.96.0.5', [{ name: 'sql', port: 5432 }]), service('headless', 'None', [{ port: 1 }])] : [service('kubernetes', '10.96.0.1', [{ port: 443 }])]),
  serviceAccountToken: async () => ({ token: 't', expiresAtMs: 0 }),
  allocatable,
};

const resolve = async (container: Partial<k8s.Container>, spec: Partial<k8s.PodSpec> = {}): Promise<Record<string, string>> =>
  Object.fromEntries(await resolveEnvironment(source, { ...facts, pod: { ...pod, spec: { containers: [], enableServiceLinks: false, ...spec } } }, { name: 'app', ...container }, signal));

test('expand() replaces what is known and keeps the rest', () => {
  const values = new Map([['A', '1'], ['B', '$(A)']]);
  const table: [string, string][] = [['$(A)-$(B)', '1-$(A)'], ['$(C)', '$(C)'], ['$$(A)', '$(A)'], ['$A $', '$A $'], ['$$$$(A)', '$$(A)'], ['$(A', '$(A']];
  for (const [text, expected] of table) assert.equal(expand(text, values), expected);
});

test('resolveEnvironment() puts together all sources in order', async () => {
  const values = await resolve({
    envFrom: [{ prefix: 'C_', configMapRef: { name: 'conf' } }, { configMapRef: { name: 'none', optional: true } }],
    env: [
      { name: 'PLAIN', value: 'x' },
      { name: 'C_b', value: 'own' },
      { name: 'SECRET', valueFrom: { secretKeyRef: { name: 'keys', key: 'token' } } },
      { name: 'SOME', valueFrom: { secretKeyRef: { name: 'keys', key: 'none', optional: true } } },
      { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'URL', value: 'http://$(POD):$(C_a)/$(LATER)' },
      { name: 'LATER', value: 'l' },
    ],
  });
  const { KUBERNETES_SERVICE_HOST, ...rest } = Object.fromEntries(Object.entries(values).filter(([name]) => !name.startsWith('KUBERNETES_') || name === 'KUBERNETES_SERVICE_HOST'));
  assert.equal(KUBERNETES_SERVICE_HOST, '10.96.0.1');
  assert.deepEqual(rest, { C_a: '1', C_b: 'own', PLAIN: 'x', SECRET: 's3cret', POD: 'web', URL: 'http://web:1/$(LATER)', LATER: 'l' });
});

test('resolveEnvironment() describes the Services of the namespace', async () => {
  const values = await resolve({}, { enableServiceLinks: true });
  const own = Object.fromEntries(Object.entries(values).filter(([name]) => !name.startsWith('KUBERNETES_')));
  assert.deepEqual(own, {
    MY_DB_SERVICE_HOST: '10.96.0.5',
    MY_DB_SERVICE_PORT: '5432',
    MY_DB_SERVICE_PORT_SQL: '5432',
    MY_DB_PORT: 'tcp://10.96.0.5:5432',
    MY_DB_PORT_5432_TCP: 'tcp://10.96.0.5:5432',
    MY_DB_PORT_5432_TCP_PROTO: 'tcp',
    MY_DB_PORT_5432_TCP_PORT: '5432',
    MY_DB_PORT_5432_TCP_ADDR: '10.96.0.5',
  });
});

test('resolveEnvironment() names what is missing', async () => {
  const missing: [k8s.EnvVar, RegExp][] = [
    [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'none', key: 'a' } } }, /configmap "none" not found/],
    [{ name: 'A', valueFrom: { secretKeyRef: { name: 'keys', key: 'none' } } }, /couldn't find key none in Secret ns\/keys/],
  ];
  for (const [variable, message] of missing) await assert.rejects(resolve({ env: [variable] }), (error) => isError(error, 'not-found') && message.test(error.message));
});

test('fieldText() reads every field of the downward API', () => {
  const table: [string, string][] = [
    ['metadata.name', 'web'],
    ['metadata.namespace', 'ns'],
    ["metadata.labels['app']", 'shop'],
    ["metadata.annotations['none']", ''],
    ['metadata.labels', 'a/b="q\\""\napp="shop"'],
    ['spec.nodeName', 'node'],
    ['spec.serviceAccountName', 'sa'],
    ['status.podIP', '10.1.0.2'],
    ['status.hostIP', '10.0.0.1'],
  ];
  for (const [path, text] of table) assert.equal(fieldText(facts, path), text);
  assert.throws(() => fieldText(facts, 'spec.containers'), (error) => isError(error, 'unsupported'));
});

test('resourceText() divides and rounds up; what is not set is the node’s', () => {
  const table: [string, string | undefined, string][] = [['requests.cpu', undefined, '1'], ['requests.cpu', '1m', '250'], ['limits.cpu', undefined, '2'], ['limits.memory', '1Mi', '64'], ['limits.memory', '1Gi', '1'], ['requests.memory', undefined, String(64 << 20)]];
  for (const [resource, divisor, text] of table) assert.equal(resourceText(pod, { resource, ...(divisor === undefined ? {} : { divisor }) }, 'app', allocatable), text, resource);
  assert.throws(() => resourceText(pod, { resource: 'limits.gpu' }, 'app', allocatable), (error) => isError(error, 'unsupported'));
  assert.throws(() => resourceText(pod, { resource: 'limits.cpu', containerName: 'x' }, 'app', allocatable), (error) => isError(error, 'invalid'));
});
