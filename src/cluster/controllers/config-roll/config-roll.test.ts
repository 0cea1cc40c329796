import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, resources } from '../../../api/mod.ts';
import { pollUntil } from '../../../kernel/mod.ts';
import { openTestCluster } from '../testing/test-cluster.ts';
import { configHashAnnotation, rollAnnotation } from './reconciler.ts';
import { configReferences } from './references.ts';

test('configReferences() finds what a pod takes its configuration from', () => {
  const spec: k8s.PodSpec = {
    volumes: [{ name: 'a', configMap: { name: 'files' } }, { name: 'b', secret: { secretName: 'keys' } }, { name: 'c', projected: { sources: [{ configMap: { name: 'more' } }, { secret: { name: 'token' } }] } }],
    containers: [{ name: 'app', env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'values', key: 'a' } } }], envFrom: [{ secretRef: { name: 'all' } }] }],
    imagePullSecrets: [{ name: 'registry' }],
  };
  assert.deepEqual(configReferences(spec), { configMaps: ['files', 'more', 'values'], secrets: ['all', 'keys', 'token'] });
});

test('a changed ConfigMap rolls the pods of the workloads that asked for it, and no others', async () => {
  await using cluster = await openTestCluster();
  const { client, signal } = cluster;
  const place = { namespace: 'default' };
  await client.create<k8s.ConfigMap>(resources.configMaps, { metadata: { ...place, name: 'config' }, data: { a: '1' } }, signal);
  const deployment = (name: string, annotations: Record<string, string>): k8s.Deployment => ({
    metadata: { ...place, name, annotations },
    spec: { replicas: 0, selector: { matchLabels: { app: name } }, template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'app', image: 'app:1', envFrom: [{ configMapRef: { name: 'config' } }] }] } } },
  });
  await client.create(resources.deployments, deployment('asked', { [rollAnnotation]: 'true' }), signal);
  await client.create(resources.deployments, deployment('unasked', {}), signal);
  const get = (name: string) => client.get(resources.deployments, { ...place, name }, signal);
  const noted = await pollUntil('the configuration to be noted', async () => (await get('asked')).metadata.annotations?.[configHashAnnotation], { timeoutMs: 30_000 }, signal);
  assert.equal((await get('asked')).spec?.template.metadata?.annotations, undefined, 'the first look rolls nothing');
  await client.patch(resources.configMaps, { ...place, name: 'config' }, { type: 'merge', body: { data: { a: '2' } } }, signal);
  const rolled = await pollUntil('the template to change', async () => (await get('asked')).spec?.template.metadata?.annotations?.[configHashAnnotation], { timeoutMs: 30_000 }, signal);
  assert.notEqual(rolled, noted);
  assert.equal((await get('unasked')).spec?.template.metadata?.annotations, undefined);
  // What is not its data is no change of the configuration.
  await client.patch(resources.configMaps, { ...place, name: 'config' }, { type: 'merge', body: { metadata: { labels: { x: 'y' } } } }, signal);
  await client.patch(resources.configMaps, { ...place, name: 'config' }, { type: 'merge', body: { data: { a: '3' } } }, signal);
  await pollUntil('the next change', async () => ((await get('asked')).spec?.template.metadata?.annotations?.[configHashAnnotation] !== rolled ? true : undefined), { timeoutMs: 30_000 }, signal);
});
