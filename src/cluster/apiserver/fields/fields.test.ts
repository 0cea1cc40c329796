import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BuiltinSchemas, type SchemaNode } from '../../../api/mod.ts';
import { builtinKinds } from '../kinds/builtin.ts';
import { parseIpv4Range } from '../kinds/service-address.ts';
import { ServiceAllocator } from '../kinds/service-allocator.ts';
import { apiCaller, at } from '../testing/api-caller.ts';
import { honouredFields, recordedFields } from '../testing/honoured-fields.ts';
import { openTestApiServer } from '../testing/test-api-server.ts';
import { unhonouredFields } from './unhonoured-fields.ts';

const kinds = builtinKinds(BuiltinSchemas.load(), new ServiceAllocator(parseIpv4Range('10.96.0.0/16'), { from: 30_000, to: 32_767 }));
const entries = new Map(unhonouredFields.map((entry) => [entry.field, entry]));

/** Every `Type.field` that users can set in some kind. What is below a field that is refused whatever it holds cannot be set. */
function settableFields(): Set<string> {
  const found = new Set<string>();
  const seen = new Set<string>();
  const walk = (node: SchemaNode): void => {
    if (node.items !== undefined) return walk(node.items);
    if (node.values !== undefined) return walk(node.values);
    if (node.properties === undefined || seen.has(node.name)) return;
    seen.add(node.name);
    const isObject = node.properties.has('metadata') && node.properties.has('kind');
    for (const [field, child] of node.properties) {
      if (isObject && ['apiVersion', 'kind', 'status'].includes(field)) continue;
      found.add(`${node.name}.${field}`);
      const entry = entries.get(`${node.name}.${field}`);
      if (entry === undefined || entry.only !== undefined || entry.except !== undefined) walk(child);
    }
  };
  for (const { node } of kinds) walk(node);
  return found;
}

const listed = (table: Readonly<Record<string, string>>): string[] => Object.entries(table).flatMap(([type, fields]) => fields.split(' ').map((field) => `${type}.${field}`));

test('every field of every kind is honoured, kept for readers, or in the table of those that are not', () => {
  const tables = [...listed(honouredFields), ...listed(recordedFields), ...entries.keys()];
  assert.deepEqual(tables.filter((field, index) => tables.indexOf(field) !== index), [], 'in two tables');
  const settable = settableFields();
  assert.deepEqual([...settable].filter((field) => !tables.includes(field)), [], 'in no table');
  assert.deepEqual(tables.filter((field) => !settable.has(field)), [], 'in a table, but no kind has it');
});

test('what is said to be honoured is named somewhere in the code of the cluster', () => {
  const words = new Set<string>();
  for (const folder of ['cluster', 'api']) {
    const root = join(import.meta.dirname, '../../../', folder);
    const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts') && !/\.test\.ts$|\.gen\.ts$|testing|fields\/|field-facts/.test(path));
    for (const path of files) for (const [word] of readFileSync(join(root, path), 'utf8').matchAll(/[\w$-]+/g)) words.add(word);
  }
  assert.deepEqual(listed(honouredFields).filter((field) => !words.has(field.slice(field.indexOf('.') + 1))), []);
});

const container = { name: 'c', image: 'i' };
const template = (spec: object): object => ({ metadata: { labels: { a: 'b' } }, spec: { containers: [container], ...spec } });

test('fields that are not honoured are refused or warned about where they stand, in every kind', async () => {
  await using server = await openTestApiServer();
  const call = apiCaller(server);
  const apps = '/apis/apps/v1/namespaces/default/deployments';
  const core = (plural: string): string => `/api/v1/namespaces/default/${plural}`;
  const deployment = (spec: object): object => ({ metadata: { name: 'd' }, spec: { selector: { matchLabels: { a: 'b' } }, template: template(spec) } });
  const refusals: [string, object, string][] = [
    [apps, deployment({ runtimeClassName: 'gvisor' }), 'spec.template.spec.runtimeClassName: Forbidden: is not supported by this cluster'],
    [apps, deployment({ volumes: [{ name: 'v', emptyDir: { medium: 'HugePages-2Mi' } }] }), 'spec.template.spec.volumes[0].emptyDir.medium: Forbidden: "HugePages-2Mi" is not supported by this cluster'],
    [core('pods'), { metadata: { name: 'p' }, spec: { containers: [container], volumes: [{ name: 'v', csi: { driver: 'd' } }] } }, 'spec.volumes[0].csi.driver: Forbidden: "d" is not supported by this cluster'],
    [core('pods'), { metadata: { name: 'p' }, spec: { containers: [container], volumes: [{ name: 'v', nfs: { server: 's', path: '/' } }] } }, 'spec.volumes[0].nfs: Forbidden: is not supported by this cluster'],
    [core('pods'), { metadata: { name: 'p' }, spec: { containers: [container], shareProcessNamespace: true } }, 'spec.shareProcessNamespace: Forbidden: true is not supported by this cluster'],
    [core('pods'), { metadata: { name: 'p' }, spec: { containers: [{ ...container, securityContext: { procMount: 'Unmasked' } }] } }, 'spec.containers[0].securityContext.procMount: Forbidden: "Unmasked" is not supported by this cluster'],
    ['/apis/batch/v1/namespaces/default/jobs', { metadata: { name: 'j' }, spec: { managedBy: 'other.example/x', template: template({ restartPolicy: 'Never' }) } }, 'spec.managedBy: Forbidden: "other.example/x" is not supported by this cluster'],
    [core('services'), { metadata: { name: 's' }, spec: { ports: [{ port: 1, protocol: 'SCTP' }] } }, 'spec.ports[0].protocol: Forbidden: "SCTP" is not supported by this cluster'],
    [core('services'), { metadata: { name: 's' }, spec: { type: 'LoadBalancer', ports: [{ port: 1 }], loadBalancerSourceRanges: ['10.0.0.0/8'] } }, 'spec.loadBalancerSourceRanges: Forbidden: is not supported by this cluster'],
    [core('persistentvolumeclaims'), { metadata: { name: 'c' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, volumeMode: 'Block' } }, 'spec.volumeMode: Forbidden: "Block" is not supported by this cluster'],
    ['/apis/coordination.k8s.io/v1/namespaces/default/leases', { metadata: { name: 'l' }, spec: { strategy: 'OldestEmulationVersion' } }, 'spec.strategy: Forbidden: is not supported by this cluster'],
    ['/apis/batch/v1/namespaces/default/cronjobs', { metadata: { name: 'c' }, spec: { schedule: '* * * * *', jobTemplate: { spec: { template: template({ restartPolicy: 'Never', shareProcessNamespace: true }) } } } }, 'spec.jobTemplate.spec.template.spec.shareProcessNamespace: Forbidden: true is not supported by this cluster'],
  ];
  for (const [path, object, expected] of refusals) {
    const { code, body } = await call('POST', path, object);
    const causes = (at(body, 'details.causes') ?? []) as { field: string; message: string }[];
    assert.deepEqual([code, causes.map(({ field, message }) => `${field}: ${message}`)], [422, [expected]]);
  }
  const warnings: [string, object, string][] = [
    [core('services'), { metadata: { name: 's' }, spec: { ports: [{ port: 1 }], trafficDistribution: 'PreferClose' } }, 'spec.trafficDistribution: is not supported by this cluster and has no effect'],
    [apps, deployment({ automountServiceAccountToken: true }), 'spec.template.spec.automountServiceAccountToken: true is not supported by this cluster and has no effect'],
  ];
  for (const [path, object, expected] of warnings) {
    const { code, headers } = await call('POST', path, object);
    assert.deepEqual([code, headers.get('warning')], [201, `299 - ${JSON.stringify(expected)}`]);
  }
});

test('a field from before the table knew it does not hold up later writes', async () => {
  await using server = await openTestApiServer();
  const call = apiCaller(server);
  const path = '/api/v1/namespaces/default/pods';
  await call('POST', path, { metadata: { name: 'p' }, spec: { containers: [container] } });
  const stored = await server.store.get('/core/pods/default/p');
  const value = JSON.parse(stored?.value ?? '{}') as { spec: Record<string, unknown> };
  await server.store.put('/core/pods/default/p', JSON.stringify({ ...value, spec: { ...value.spec, runtimeClassName: 'gvisor' } }), stored?.modRevision ?? 0);
  const labelled = await call('PATCH', `${path}/p`, { metadata: { labels: { a: 'b' } } }, { 'content-type': 'application/merge-patch+json' });
  assert.deepEqual([labelled.code, at(labelled.body, 'spec.runtimeClassName')], [200, 'gvisor']);
});

test('pods take the pull secrets of their service account', async () => {
  await using server = await openTestApiServer();
  const call = apiCaller(server);
  const core = '/api/v1/namespaces/default';
  await call('POST', `${core}/serviceaccounts`, { metadata: { name: 'robot' }, imagePullSecrets: [{ name: 'registry' }] });
  const pod = (name: string, spec: object): object => ({ metadata: { name }, spec: { serviceAccountName: 'robot', containers: [container], ...spec } });
  assert.deepEqual(at((await call('POST', `${core}/pods`, pod('a', {}))).body, 'spec.imagePullSecrets'), [{ name: 'registry' }]);
  assert.deepEqual(at((await call('POST', `${core}/pods`, pod('b', { imagePullSecrets: [{ name: 'own' }] }))).body, 'spec.imagePullSecrets'), [{ name: 'own' }]);
});
