import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { isError } from '../kernel/mod.ts';
import { KubernetesProtobuf } from './kubernetes-protobuf.ts';

const codec = KubernetesProtobuf.load();

const pod = {
  kind: 'Pod',
  apiVersion: 'v1',
  metadata: { name: 'a', creationTimestamp: '2026-01-02T03:04:05Z', labels: { app: 'x', empty: '' }, ownerReferences: [{ apiVersion: 'v1', kind: 'K', name: 'n', uid: 'u', controller: false }], managedFields: [{ manager: 'm', fieldsV1: { 'f:a': {} } }] },
  spec: {
    containers: [
      {
        name: 'c',
        args: ['', 'b'],
        env: [{ name: 'A', value: 'ü' }],
        ports: [{ containerPort: 80 }],
        resources: { limits: { cpu: '500m' } },
        livenessProbe: { httpGet: { path: '/', port: 'http' }, periodSeconds: 3 },
        readinessProbe: { tcpSocket: { port: 8080 } },
        securityContext: { runAsUser: 0, privileged: false },
      },
    ],
    terminationGracePeriodSeconds: 0,
    hostNetwork: true,
    volumes: [{ name: 'v', configMap: { name: 'cm', items: [{ key: 'k', path: 'p', mode: 420 }], defaultMode: 420 } }],
    tolerations: [{ tolerationSeconds: -1 }],
    priority: -5,
  },
};

test('KubernetesProtobuf reads what it wrote', () => {
  const table: (Record<string, unknown> & { kind: string; apiVersion: string })[] = [
    pod,
    { kind: 'Secret', apiVersion: 'v1', metadata: { name: 's' }, data: { a: 'AAEC', empty: '' }, type: 'Opaque' },
    { kind: 'Deployment', apiVersion: 'apps/v1', metadata: { name: 'd' }, spec: { replicas: 0, selector: { matchLabels: { a: 'b' } }, template: { metadata: {}, spec: { containers: [{ name: 'c' }] } }, strategy: { rollingUpdate: { maxSurge: '25%', maxUnavailable: 0 } } } },
    { kind: 'Lease', apiVersion: 'coordination.k8s.io/v1', metadata: { name: 'l' }, spec: { renewTime: '2026-01-02T03:04:05.000678Z' } },
    { kind: 'SubjectAccessReview', apiVersion: 'authorization.k8s.io/v1', metadata: {}, spec: { user: 'u', extra: { scopes: ['a', 'b'] }, resourceAttributes: { verb: 'get' } } },
    { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0, propagationPolicy: 'Background' },
    {
      kind: 'CustomResourceDefinition',
      apiVersion: 'apiextensions.k8s.io/v1',
      metadata: { name: 'x' },
      spec: { group: 'g', names: { plural: 'p', kind: 'K' }, scope: 'Namespaced', versions: [{ name: 'v1', served: true, storage: false, schema: { openAPIV3Schema: { type: 'object', default: { a: [1] }, properties: { a: { type: 'array', items: { type: 'string' } }, b: { type: 'object', additionalProperties: { type: 'number', maximum: 1.5 } } } } } }] },
    },
  ];
  for (const object of table) {
    const { kind, apiVersion, ...rest } = codec.decode(codec.encode(object));
    assert.deepEqual([kind, apiVersion], [object.kind, object.apiVersion]);
    for (const [field, value] of Object.entries(rest)) assert.deepEqual(withoutEmpty(value), withoutEmpty(object[field]), `${object.kind} ${field}`);
  }
});

/** Go writes structures that hold nothing; in JSON they are there or not. */
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutEmpty(item)] as const).filter(([, item]) => typeof item !== 'object' || item === null || Array.isArray(item) || Object.keys(item).length > 0));
}

test('KubernetesProtobuf tells zero from absent and skips what it does not know', () => {
  const bytes = (number: number, content: Uint8Array | string): Uint8Array => new BinaryWriter().uint32((number << 3) | WireType.LengthDelimited).bytes(typeof content === 'string' ? Buffer.from(content) : content).finish();
  const integer = (number: number, value: number): Uint8Array => new BinaryWriter().uint32((number << 3) | WireType.Varint).int64(value).finish();
  // Go's encoder writes empty strings and zero numbers of plain fields; replicas is a pointer, paused is not.
  const spec = Buffer.concat([integer(1, 0), integer(5, 0), integer(7, 0), bytes(999, 'future'), integer(998, 1)]);
  const metadata = Buffer.concat([bytes(1, 'd'), bytes(2, ''), bytes(3, ''), bytes(8, '')]);
  const raw = Buffer.concat([bytes(1, metadata), bytes(2, spec)]);
  const envelope = Buffer.concat([bytes(1, Buffer.concat([bytes(1, 'apps/v1'), bytes(2, 'Deployment')])), bytes(2, raw), bytes(3, ''), bytes(4, '')]);
  assert.deepEqual(codec.decode(Buffer.concat([Buffer.from('k8s\0'), envelope])), { kind: 'Deployment', apiVersion: 'apps/v1', metadata: { name: 'd' }, spec: { replicas: 0 } });
});

test('KubernetesProtobuf refuses what it cannot read', () => {
  const good = Buffer.from(codec.encode(pod));
  for (let length = 0; length < good.length; length += 7) {
    try {
      codec.decode(good.subarray(0, length));
    } catch (error) {
      assert.ok(isError(error, 'invalid', 'unsupported'), String(error));
    }
  }
  assert.throws(() => codec.decode(Buffer.from('{"kind":"Pod"}')), (error) => isError(error, 'invalid'));
  assert.throws(() => codec.encode({ kind: 'Sandwich', apiVersion: 'v1' }), (error) => isError(error, 'unsupported'));
  assert.equal(codec.has('apps/v1', 'Deployment'), true);
  assert.equal(codec.has('apps/v1', 'Sandwich'), false);
});
