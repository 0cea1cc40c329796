import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../../kernel/mod.ts';
import { BuiltinSchemas } from '../schema/builtin.ts';
import { applyStrategicMergePatch } from './strategic-merge.ts';

const schemas = BuiltinSchemas.load();
const pod = schemas.node('io.k8s.api.core.v1.PodSpec');
const deployment = schemas.node('io.k8s.api.apps.v1.Deployment');
const meta = schemas.node('io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta');

test('applyStrategicMergePatch() merges lists by key and replaces the others', () => {
  const target = {
    containers: [
      { name: 'a', image: 'a:1', args: ['x', 'y'], ports: [{ containerPort: 80, protocol: 'TCP' }] },
      { name: 'b', image: 'b:1' },
    ],
    tolerations: [{ key: 'old' }],
    nodeSelector: { disk: 'ssd' },
  };
  const table: [title: string, patch: unknown, result: unknown][] = [
    ['an item of a keyed list', { containers: [{ name: 'b', image: 'b:2' }] }, { ...target, containers: [target.containers[0], { name: 'b', image: 'b:2' }] }],
    ['a new item goes to the end', { containers: [{ name: 'c' }] }, { ...target, containers: [...target.containers, { name: 'c' }] }],
    ['a deleted item', { containers: [{ name: 'a', $patch: 'delete' }] }, { ...target, containers: [target.containers[1]] }],
    ['a replaced list', { containers: [{ $patch: 'replace' }, { name: 'z' }] }, { ...target, containers: [{ name: 'z' }] }],
    ['an unkeyed list of scalars', { containers: [{ name: 'a', args: ['z'] }] }, { ...target, containers: [{ ...target.containers[0], args: ['z'] }, target.containers[1]] }],
    ['an unkeyed list of objects', { tolerations: [{ key: 'new' }] }, { ...target, tolerations: [{ key: 'new' }] }],
    ['null deletes a field', { nodeSelector: null }, { containers: target.containers, tolerations: target.tolerations }],
    ['null deletes a key of a map', { nodeSelector: { disk: null, zone: 'x' } }, { ...target, nodeSelector: { zone: 'x' } }],
    ['a replaced map', { nodeSelector: { $patch: 'replace', zone: 'x' } }, { ...target, nodeSelector: { zone: 'x' } }],
    ['an order', { '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] }, { ...target, containers: target.containers.toReversed() }],
    [
      'an order with a new item',
      { '$setElementOrder/containers': [{ name: 'c' }, { name: 'b' }, { name: 'a' }], containers: [{ name: 'c' }] },
      { ...target, containers: [{ name: 'c' }, target.containers[1], target.containers[0]] },
    ],
  ];
  for (const [title, patch, result] of table) assert.deepEqual(applyStrategicMergePatch(pod, target, patch), result, title);
});

test('applyStrategicMergePatch() honours $retainKeys and lists of scalars that are sets', () => {
  const rolling = { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } };
  assert.deepEqual(applyStrategicMergePatch(deployment, rolling, { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } }), { spec: { strategy: { type: 'Recreate' } } });
  const held = { finalizers: ['a', 'b'] };
  assert.deepEqual(applyStrategicMergePatch(meta, held, { finalizers: ['c', 'a'] }), { finalizers: ['a', 'b', 'c'] });
  assert.deepEqual(applyStrategicMergePatch(meta, held, { '$deleteFromPrimitiveList/finalizers': ['a'] }), { finalizers: ['b'] });
});

test('applyStrategicMergePatch() takes nulls and directives out of what is new', () => {
  assert.deepEqual(applyStrategicMergePatch(pod, {}, { containers: [{ name: 'a', image: null, env: [{ name: 'X', value: null }] }], dnsConfig: { $patch: 'merge', searches: null } }), {
    containers: [{ name: 'a', env: [{ name: 'X' }] }],
    dnsConfig: {},
  });
});

test('applyStrategicMergePatch() refuses malformed patches', () => {
  const table: unknown[] = [
    [],
    { containers: [{ image: 'no key' }] },
    { containers: ['text'] },
    { nodeSelector: { $patch: 'explode' } },
    { '$setElementOrder/containers': 'a' },
    { $retainKeys: ['hostname'], subdomain: 'x' },
  ];
  for (const patch of table) assert.throws(() => applyStrategicMergePatch(pod, { containers: [{ name: 'a' }] }, patch), (error) => isError(error, 'invalid'), JSON.stringify(patch));
});
