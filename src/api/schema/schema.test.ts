import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BuiltinSchemas } from './builtin.ts';
import { decodeValue } from './decode.ts';
import { applyDefaults } from './defaults.ts';
import { mergedLists, quantityFields, setLists } from '../kubernetes/field-facts.ts';
import { compileCustomObject } from './structural.ts';

const schemas = BuiltinSchemas.load();

test('decodeValue() removes what the schema does not know and nulls, and makes quantities canonical', () => {
  const deployment = {
    metadata: { name: 'a', creationTimestamp: null, colour: 'red' },
    spec: { replicas: null, template: { spec: { containers: [{ name: 'c', resources: { limits: { cpu: 1.5, memory: '1024Mi' } }, imag: 'typo' }] } } },
  };
  const findings = decodeValue(schemas.node('io.k8s.api.apps.v1.Deployment'), deployment);
  assert.deepEqual(findings, { typeErrors: [], unknownFields: ['metadata.colour', 'spec.template.spec.containers[0].imag'] });
  assert.deepEqual(deployment, { metadata: { name: 'a' }, spec: { template: { spec: { containers: [{ name: 'c', resources: { limits: { cpu: '1500m', memory: '1Gi' } } }] } } } });
});

test('decodeValue() names values of the wrong type', () => {
  const table: [id: string, value: unknown, path: string][] = [
    ['io.k8s.api.apps.v1.Deployment', { spec: { replicas: 'three' } }, 'spec.replicas'],
    ['io.k8s.api.apps.v1.Deployment', { spec: { replicas: 1.5 } }, 'spec.replicas'],
    ['io.k8s.api.apps.v1.Deployment', { spec: { replicas: 3_000_000_000 } }, 'spec.replicas'],
    ['io.k8s.api.apps.v1.Deployment', { spec: [] }, 'spec'],
    ['io.k8s.api.core.v1.Pod', { spec: { containers: [null] } }, 'spec.containers[0]'],
    ['io.k8s.api.core.v1.Pod', { spec: { containers: {} } }, 'spec.containers'],
    ['io.k8s.api.core.v1.Pod', { spec: { containers: [{ resources: { limits: { cpu: 'lots' } } }] } }, 'spec.containers[0].resources.limits.cpu'],
    ['io.k8s.api.core.v1.Pod', { spec: { containers: [{ tty: 'yes' }] } }, 'spec.containers[0].tty'],
    ['io.k8s.api.core.v1.Pod', { metadata: { labels: { a: 1 } } }, 'metadata.labels.a'],
    ['io.k8s.api.core.v1.Pod', { metadata: { creationTimestamp: 'yesterday' } }, 'metadata.creationTimestamp'],
    ['io.k8s.api.core.v1.Secret', { data: { a: 'not base64!' } }, 'data.a'],
    ['io.k8s.api.core.v1.Service', { spec: { ports: [{ targetPort: true }] } }, 'spec.ports[0].targetPort'],
  ];
  for (const [id, value, path] of table) assert.deepEqual(decodeValue(schemas.node(id), value).typeErrors.map((error) => error.path), [path], JSON.stringify(value));
});

test('every field of the tables of facts is a field of a generated schema', () => {
  const names = new Map(Object.keys(schemas.definitions).map((id) => [id.slice(id.lastIndexOf('.') + 1), schemas.definitions[id]]));
  const missing = [...Object.keys(mergedLists), ...setLists, ...quantityFields].filter((path) => {
    const [type = '', field = ''] = path.split('.');
    return !path.includes('_default') && names.get(type)?.properties?.[field] === undefined;
  });
  assert.deepEqual(missing, []);
});

test('compileCustomObject() and applyDefaults() follow a structural schema', () => {
  const metadata = schemas.node('io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta');
  const node = compileCustomObject(
    {
      type: 'object',
      properties: {
        spec: {
          type: 'object',
          properties: {
            size: { type: 'integer', default: 3 },
            free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
            parts: { type: 'array', items: { type: 'object', properties: { kind: { type: 'string', default: 'bolt' } } } },
            tags: { type: 'object', additionalProperties: { type: 'object', properties: { on: { type: 'boolean', default: true } } } },
            maybe: { type: 'string', nullable: true, default: 'set' },
          },
        },
      },
    },
    metadata,
  );
  const object = { apiVersion: 'x/v1', kind: 'X', metadata: { name: 'a', unknown: 1 }, spec: { free: { any: { thing: null } }, parts: [{}, { kind: 'nut', extra: 1 }], tags: { a: {} }, maybe: null }, stray: 1 };
  assert.deepEqual(decodeValue(node, object).unknownFields, ['metadata.unknown', 'spec.parts[1].extra', 'stray']);
  applyDefaults(node, object);
  assert.deepEqual(object, {
    apiVersion: 'x/v1',
    kind: 'X',
    metadata: { name: 'a' },
    spec: { free: { any: { thing: null } }, parts: [{ kind: 'bolt' }, { kind: 'nut' }], tags: { a: { on: true } }, maybe: null, size: 3 },
  });
});
