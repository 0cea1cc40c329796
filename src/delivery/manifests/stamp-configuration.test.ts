import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ManifestObject } from './parse-manifests.ts';
import { configurationAnnotation, stampConfiguration } from './stamp-configuration.ts';

function configMap(name: string, data: Record<string, string>, kind = 'ConfigMap'): ManifestObject {
  return { apiVersion: 'v1', kind, metadata: { name }, data };
}

function deployment(spec: unknown, kind = 'Deployment'): ManifestObject {
  return { apiVersion: 'apps/v1', kind, metadata: { name: 'shop' }, spec: { template: { metadata: { labels: { app: 'shop' } }, spec } } };
}

function stampOf(objects: readonly ManifestObject[]): string | undefined {
  const stamped = stampConfiguration(objects).find(({ kind }) => kind === 'Deployment');
  const { template } = (stamped?.['spec'] ?? {}) as { template?: { metadata?: { annotations?: Record<string, string> } } };
  return template?.metadata?.annotations?.[configurationAnnotation];
}

const uses: readonly { name: string; spec: unknown; kind?: string }[] = [
  { name: 'a volume', spec: { volumes: [{ name: 'v', configMap: { name: 'c' } }] } },
  { name: 'a secret volume', spec: { volumes: [{ name: 'v', secret: { secretName: 'c' } }] }, kind: 'Secret' },
  { name: 'a projected volume', spec: { volumes: [{ name: 'v', projected: { sources: [{ configMap: { name: 'c' } }] } }] } },
  { name: 'envFrom', spec: { containers: [{ envFrom: [{ configMapRef: { name: 'c' } }] }] } },
  { name: 'valueFrom', spec: { initContainers: [{ env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'c', key: 'k' } } }] }] }, kind: 'Secret' },
];

for (const { name, spec, kind } of uses) {
  test(`stampConfiguration() rolls pods when the content of ${name} changes`, () => {
    const before = stampOf([configMap('c', { a: '1' }, kind), deployment(spec)]);
    assert.match(before ?? '', /^[0-9a-f]{16}$/);
    assert.equal(stampOf([deployment(spec), configMap('c', { a: '1' }, kind), configMap('other', { b: '2' })]), before);
    assert.notEqual(stampOf([configMap('c', { a: '2' }, kind), deployment(spec)]), before);
  });
}

test('stampConfiguration() leaves alone what uses nothing of the release, and its input', () => {
  const objects = [configMap('c', { a: '1' }), deployment({ volumes: [{ name: 'v', configMap: { name: 'of-another' } }] }), deployment({ volumes: [{ name: 'v', configMap: { name: 'c' } }] }, 'Job')];
  const before = structuredClone(objects);
  assert.deepEqual(stampConfiguration(objects), before);
  assert.deepEqual(objects, before);
});

test('stampConfiguration() does not depend on the order of keys', () => {
  const spec = { volumes: [{ name: 'v', configMap: { name: 'c' } }] };
  assert.equal(stampOf([configMap('c', { a: '1', b: '2' }), deployment(spec)]), stampOf([configMap('c', { b: '2', a: '1' }), deployment(spec)]));
});
