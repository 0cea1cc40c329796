import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BuiltinSchemas } from '../schema/builtin.ts';
import { flattenObject, fromFieldsV1, showPath, toFieldsV1 } from './field-paths.ts';
import { mergeApplied, removeFields } from './merge-applied.ts';

const deployment = BuiltinSchemas.load().node('io.k8s.api.apps.v1.Deployment');

const object = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'a', uid: 'u', labels: { app: 'x' }, finalizers: ['f/a'] },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: 'x' } },
    template: { metadata: {}, spec: { containers: [{ name: 'c', image: 'i', args: ['1', '2'], ports: [{ containerPort: 80 }] }], nodeSelector: { a: 'b' } } },
  },
};

test('toFieldsV1() writes the fields of an object as Kubernetes does, and fromFieldsV1() reads them', () => {
  const paths = new Set(flattenObject(deployment, object).keys());
  const tree = toFieldsV1(paths);
  assert.deepEqual(tree, {
    'f:metadata': { 'f:labels': { 'f:app': {} }, 'f:finalizers': { 'v:"f/a"': {} } },
    'f:spec': {
      'f:replicas': {},
      'f:selector': {},
      'f:template': {
        'f:metadata': {},
        'f:spec': {
          'f:containers': { 'k:{"name":"c"}': { '.': {}, 'f:name': {}, 'f:image': {}, 'f:args': {}, 'f:ports': { 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } } } },
          'f:nodeSelector': {},
        },
      },
    },
  });
  assert.deepEqual(fromFieldsV1(tree), paths);
  assert.deepEqual(fromFieldsV1({ 'f:a': 1, b: {}, 'f:c': {} }), new Set(['f:c']));
  assert.equal(showPath('f:spec\0f:containers\0k:{"name":"c"}\0f:image'), '.spec.containers[name="c"].image');
  assert.equal(showPath('f:metadata\0f:finalizers\0v:"x"'), '.metadata.finalizers[="x"]');
});

test('mergeApplied() puts the applied fields into the live object', () => {
  const live = {
    metadata: { labels: { app: 'x', live: 'y' }, finalizers: ['one', 'two'] },
    spec: { replicas: 5, template: { spec: { nodeSelector: { live: 'z' }, containers: [{ name: 'side', image: 's' }, { name: 'c', image: 'old', tty: true }, { name: 'last', image: 'l' }] } } },
  };
  const applied = { metadata: { labels: { app: 'new' }, finalizers: ['two', 'three'] }, spec: { template: { spec: { nodeSelector: { a: 'b' }, containers: [{ name: 'c', image: 'new' }, { name: 'd', image: 'd' }] } } } };
  assert.deepEqual(mergeApplied(deployment, live, applied), {
    metadata: { labels: { app: 'new', live: 'y' }, finalizers: ['one', 'two', 'three'] },
    spec: {
      replicas: 5,
      template: { spec: { nodeSelector: { a: 'b' }, containers: [{ name: 'side', image: 's' }, { name: 'c', image: 'new', tty: true }, { name: 'last', image: 'l' }, { name: 'd', image: 'd' }] } },
    },
  });
});

test('removeFields() takes fields away and what is empty then', () => {
  const paths = fromFieldsV1({
    'f:metadata': { 'f:labels': { 'f:app': {} } },
    'f:spec': { 'f:template': { 'f:spec': { 'f:containers': { 'k:{"name":"c"}': { 'f:image': {}, 'f:args': {} }, 'k:{"name":"gone"}': { '.': {}, 'f:image': {} } } } } },
  });
  const given = { metadata: { labels: { app: 'x' } }, spec: { template: { spec: { containers: [{ name: 'c', image: 'i', args: ['1'], tty: true }, { name: 'gone', image: 'x', tty: true }] } } } };
  assert.deepEqual(removeFields(deployment, given, paths), { spec: { template: { spec: { containers: [{ name: 'c', tty: true }] } } } });
});
