import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../../kernel/mod.ts';
import { fieldPath, parseManifests } from './parse-manifests.ts';

const service = `apiVersion: v1
kind: Service
metadata:
  name: shop
spec:
  ports:
    - port: 80
      targetPort: 8080
`;

test('parseManifests() reads several documents, lists and JSON, and knows where each field is', () => {
  const manifests = parseManifests([
    { path: 'deploy/a.yaml', text: `# first\n---\n${service}---\n---\napiVersion: v1\nkind: List\nitems:\n  - apiVersion: v1\n    kind: ConfigMap\n    metadata: { name: one }\n` },
    { path: 'deploy/b.json', text: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"two"},"data":{"a.b":"1"}}' },
  ]);
  assert.deepEqual(manifests.map(({ file, object }) => [file, object.kind, object.metadata.name]), [
    ['deploy/a.yaml', 'Service', 'shop'],
    ['deploy/a.yaml', 'ConfigMap', 'one'],
    ['deploy/b.json', 'ConfigMap', 'two'],
  ]);
  const [shop, one, two] = manifests;
  assert.deepEqual(shop?.locate('spec.ports[0].targetPort'), { line: 10, column: 7 });
  assert.deepEqual(shop?.locate('spec.ports[0].nodePort'), { line: 9, column: 7 });
  assert.deepEqual(shop?.locate('spec.nothing.at.all'), { line: 7, column: 1 });
  assert.deepEqual(one?.locate('metadata.name'), { line: 18, column: 17 });
  assert.deepEqual(two?.locate('data[a.b]'), { line: 1, column: 73 });
});

test('parseManifests() reads YAML as kubectl does', () => {
  const text = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: x }\nmode: 0644\nwhen: 2020-01-01\nports: 22:22\non: yes\nversion: 1.10\nanchor: &a { k: 1 }\nmerged: { <<: *a, l: 2 }\n';
  const [manifest] = parseManifests([{ path: 'a.yaml', text }]);
  const { apiVersion: _, kind: __, metadata: ___, ...rest } = manifest?.object ?? { apiVersion: '', kind: '', metadata: { name: '' } };
  assert.deepEqual(rest, { mode: 420, when: '2020-01-01', ports: '22:22', true: true, version: 1.1, anchor: { k: 1 }, merged: { k: 1, l: 2 } });
});

const mistakes: readonly { name: string; text: string; message: RegExp; lines: number[] }[] = [
  { name: 'broken YAML', text: 'apiVersion: v1\nkind: [\n', message: /^deploy\/a\.yaml:3: /, lines: [3] },
  { name: 'a document that is no object', text: '- a\n', message: /^deploy\/a\.yaml:1: expected an object/, lines: [1] },
  { name: 'missing parts, all of them', text: 'metadata:\n  labels: { a: 1 }\n', message: /^deploy\/a\.yaml:1: apiVersion: required \(and 3 more\)/, lines: [1, 1, 1, 2] },
  { name: 'generateName', text: 'apiVersion: v1\nkind: Pod\nmetadata:\n  generateName: x-\n', message: /^deploy\/a\.yaml:3: metadata\.name: required; generateName/, lines: [3] },
  { name: 'one object twice', text: `${service}---\n${service}`, message: /^deploy\/a\.yaml:13: Service shop is also in deploy\/a\.yaml:4/, lines: [13] },
  { name: 'a key twice', text: 'apiVersion: v1\nkind: A\nkind: B\nmetadata: { name: x }\n', message: /^deploy\/a\.yaml:3: /, lines: [3] },
];

for (const { name, text, message, lines } of mistakes) {
  test(`parseManifests() names the place of ${name}`, () => {
    assert.throws(
      () => parseManifests([{ path: 'deploy/a.yaml', text }]),
      (error: unknown) => {
        assert.ok(isError(error, 'invalid'));
        assert.match(error.message, message);
        assert.deepEqual(error.places.map(({ line }) => line), lines);
        return true;
      },
    );
  });
}

test('fieldPath() splits what the API server calls a field', () => {
  assert.deepEqual(fieldPath('spec.template.spec.containers[0].env[2].name'), ['spec', 'template', 'spec', 'containers', 0, 'env', 2, 'name']);
  assert.deepEqual(fieldPath('metadata.annotations[a.b/c]'), ['metadata', 'annotations', 'a.b/c']);
  assert.deepEqual(fieldPath(''), []);
});
