import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, resources, type Stored } from '../../api/mod.ts';
import { pollUntil } from '../../kernel/mod.ts';
import { openRealNode, realNodeImage as image } from '../testing/real-node.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: real containers';
const signal = AbortSignal.timeout(120_000);

const app = (script: string, change: Partial<k8s.Container> = {}): k8s.Container => ({ name: 'app', image, command: ['sh', '-c', script], ...change });
const isRunning = ({ status }: Stored<k8s.Pod>): boolean => status?.phase === 'Running';
const isDone = ({ status }: Stored<k8s.Pod>): boolean => status?.phase === 'Succeeded' || status?.phase === 'Failed';

test('a pod runs in real containers: start, log, exec, kill, restart, delete', { skip }, async () => {
  await using real = await openRealNode();
  const { node } = real;
  const createdAtMs = Date.now();
  await node.createPod('web', { terminationGracePeriodSeconds: 1, containers: [app('echo hello from $HOSTNAME; sleep 1000')] });
  const pod = await node.waitPod('web', 'Running', isRunning);
  console.log(`# create to Running: ${Date.now() - createdAtMs} ms`);
  assert.match(pod.status?.podIP ?? '', /^198\.1[89]\./);
  assert.equal(await pollUntil('the log', async () => (await real.logs('web')) || undefined, { timeoutMs: 30_000 }, signal), 'hello from web');
  assert.deepEqual(await real.exec('web', 'hostname'), { exitCode: 0, output: 'web' });
  assert.deepEqual(await real.exec('web', 'sh', '-c', 'exit 7'), { exitCode: 7, output: '' });
  const { pid } = real.engine.engine.containers.list()[0]?.status ?? {};
  process.kill(pid ?? -1, 'SIGKILL');
  const again = await node.waitPod('web', 'restarted', ({ status }) => status?.containerStatuses?.[0]?.restartCount === 1 && status.containerStatuses[0].state?.running !== undefined);
  assert.equal(again.status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 137);
  await node.client.delete(resources.pods, { namespace: 'default', name: 'web' }, {}, signal);
  await node.waitGone('web');
  assert.deepEqual([real.engine.engine.containers.list().length, real.engine.engine.sandboxes.list().length], [0, 0]);
});

test('containers of a pod share network and volumes, and run as they are told', { skip }, async () => {
  await using real = await openRealNode();
  await real.node.client.create<k8s.Secret>(resources.secrets, { metadata: { namespace: 'default', name: 'keys' }, data: { token: Buffer.from('s3cret').toString('base64') } }, signal);
  await real.node.createPod('job', {
    restartPolicy: 'Never',
    securityContext: { runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000 },
    hostAliases: [{ ip: '192.0.2.7', hostnames: ['db'] }],
    volumes: [{ name: 'work', emptyDir: {} }, { name: 'fast', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } }, { name: 'keys', secret: { secretName: 'keys', defaultMode: 0o400 } }],
    initContainers: [app('echo made > /work/file', { name: 'make', volumeMounts: [{ name: 'work', mountPath: '/work' }] })],
    containers: [
      app('id; until nc 127.0.0.1 4000 2>/dev/null; do sleep 0.1; done; cat /work/made/file /keys/token; echo; stat -f -c %T /fast; cat /etc/hosts; cat /etc/resolv.conf; echo "$IP $WHO"; echo bye > /dev/termination-log; sleep 1; exit 5', {
        env: [{ name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }, { name: 'WHO', value: 'pod-at-$(IP)' }],
        volumeMounts: [{ name: 'work', mountPath: '/work/made' }, { name: 'fast', mountPath: '/fast' }, { name: 'keys', mountPath: '/keys' }, { name: 'work', mountPath: '/sub', subPath: 'deep/er' }],
        securityContext: { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      }),
      app('echo served | nc -l -p 4000', { name: 'peer' }),
    ],
  });
  const pod = await real.node.waitPod('job', 'done', isDone);
  const log = await real.logs('job');
  const ip = pod.status?.podIP ?? '';
  assert.match(log, /^uid=1000 gid=3000 groups=2000,?/);
  assert.match(log, /\nserved\nmade\ns3cret\n/);
  assert.match(log, /\ntmpfs\n/);
  assert.match(log, /192\.0\.2\.7\s+db/);
  assert.match(log, /nameserver 10\.96\.0\.10\n(.*\n)*search default\.svc\.cluster\.local svc\.cluster\.local cluster\.local example\.org|search default\.svc\.cluster\.local(.*\n)*nameserver 10\.96\.0\.10/);
  assert.ok(log.includes(`${ip} pod-at-${ip}`), log);
  const terminated = pod.status?.containerStatuses?.find(({ name }) => name === 'app')?.state?.terminated;
  assert.deepEqual([pod.status?.phase, terminated?.exitCode, terminated?.reason, terminated?.message], ['Failed', 5, 'Error', 'bye\n']);
});
