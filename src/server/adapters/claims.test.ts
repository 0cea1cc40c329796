import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type k8s, resources } from '../../api/mod.ts';
import { Informers } from '../../client/mod.ts';
import { controllerServices } from '../../cluster/controllers/mod.ts';
import { Scheduler } from '../../cluster/scheduler/mod.ts';
import { pollUntil, runServices, silentLogger } from '../../kernel/mod.ts';
import { openRealNode, realNodeImage } from '../testing/real-node.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: containers';
const signal = AbortSignal.timeout(300_000);
const place = { namespace: 'default' };
const patience = { timeoutMs: 60_000, intervalMs: 20 };

test('a StatefulSet keeps its data when its pod and its agent go, and loses it only with the claim', { skip }, async () => {
  await using real = await openRealNode();
  const { node } = real;
  const { client } = node;
  const stop = new AbortController();
  const informers = new Informers(client, silentLogger());
  const run = runServices([[informers, new Scheduler(client, informers, {}, silentLogger()), ...controllerServices(client, informers, {}, silentLogger())]], silentLogger(), stop.signal);
  try {
    const labels = { app: 'db' };
    await client.create<k8s.StatefulSet>(
      resources.statefulSets,
      {
        metadata: { name: 'db', ...place },
        spec: {
          replicas: 1,
          serviceName: 'db',
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: {
              terminationGracePeriodSeconds: 0,
              securityContext: { fsGroup: 4321 },
              containers: [{ name: 'app', image: realNodeImage, imagePullPolicy: 'Never', command: ['sh', '-c', 'date +%s%N >> /data/starts; exec sleep 1000'], volumeMounts: [{ name: 'data', mountPath: '/data', subPath: 'inner' }] }],
            },
          },
          volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '64Mi' } } } }],
        },
      },
      signal,
    );
    const running = (not?: string) => pollUntil('db-0 running', async () => {
      const pod = await node.pod('db-0');
      return pod !== undefined && pod.metadata.uid !== not && pod.status?.phase === 'Running' ? pod : undefined;
    }, patience, signal);
    const first = await running();
    const claim = await client.get(resources.persistentVolumeClaims, { ...place, name: 'data-db-0' }, signal);
    assert.deepEqual([claim.status?.phase, claim.spec?.storageClassName, claim.status?.capacity?.['storage']], ['Bound', 'local', '64Mi']);
    assert.match((await real.exec('db-0', 'stat', '-c', '%g', '/data')).output, /^4321$/);
    // A claim in use only goes when its pod has.
    await client.delete(resources.pods, { ...place, name: 'db-0' }, {}, signal);
    const second = await running(first.metadata.uid);
    await node.restart();
    const lines = await pollUntil('two starts', async () => {
      const { output } = await real.exec('db-0', 'wc', '-l', '/data/starts');
      return output.startsWith('2') ? output : undefined;
    }, patience, signal);
    assert.match(lines, /^2/);
    assert.notEqual(second.metadata.uid, first.metadata.uid);
    const folder = join(node.folder, 'claims');
    assert.equal((await readdir(folder)).length, 1);
    await client.delete(resources.persistentVolumeClaims, { ...place, name: 'data-db-0' }, {}, signal);
    assert.notEqual((await client.get(resources.persistentVolumeClaims, { ...place, name: 'data-db-0' }, signal)).metadata.deletionTimestamp, undefined, 'a claim in use waits');
    await client.patch(resources.statefulSets, { ...place, name: 'db' }, { type: 'merge', body: { spec: { replicas: 0 } } }, signal);
    await pollUntil('claim, volume and folder to go', async () => {
      const [claims, volumes, folders] = [await client.list(resources.persistentVolumeClaims, place, signal), await client.list(resources.persistentVolumes, {}, signal), await readdir(folder)];
      return claims.items.length === 0 && volumes.items.length === 0 && folders.length === 0 ? true : undefined;
    }, patience, signal);
  } finally {
    stop.abort();
    await run;
  }
});
