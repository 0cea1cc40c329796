import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { k8s, Stored } from '../../api/mod.ts';
import { isError, pollUntil } from '../../kernel/mod.ts';
import { openRealNode, type RealNode, realNodeImage } from '../testing/real-node.ts';
import { rateOf } from './metrics-source.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: real containers';
const signal = AbortSignal.timeout(120_000);
const pod = { namespace: 'default', name: 'web' };
const isRunning = ({ status }: Stored<k8s.Pod>): boolean => status?.phase === 'Running';

async function openWithPod(script: string): Promise<RealNode> {
  const real = await openRealNode();
  await real.node.createPod('web', { terminationGracePeriodSeconds: 1, containers: [{ name: 'app', image: realNodeImage, command: ['sh', '-c', script] }] });
  await real.node.waitPod('web', 'Running', isRunning);
  return real;
}

test('exec through the API carries stdin, both outputs and the exit code', { skip }, async () => {
  await using real = await openWithPod('sleep 1000');
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const outputs = Promise.all([text(stdout), text(stderr)]);
  const command = ['sh', '-c', 'cat; echo oops >&2; exit 3'];
  const big = 'x'.repeat(500_000);
  const result = await real.node.client.exec(pod, { container: 'app', command, stdin: Readable.from([big]), stdout, stderr }, signal);
  stdout.end();
  stderr.end();
  assert.deepEqual([result, await outputs], [{ exitCode: 3 }, [big, 'oops\n']]);
});

test('logs through the API: all, the tail, followed until the container ends', { skip }, async () => {
  await using real = await openWithPod('echo one; echo two; echo three; sleep 1; echo four');
  const read = async (options: Parameters<typeof real.node.client.logs>[1]): Promise<string> => text(await real.node.client.logs(pod, { container: 'app', ...options }, signal));
  await pollUntil('three lines', async () => ((await read({})).endsWith('three\n') ? true : undefined), { timeoutMs: 30_000 }, signal);
  assert.equal(await read({ tailLines: 2 }), 'two\nthree\n');
  assert.match(await read({ tailLines: 1, timestamps: true }), /^\d{4}-\d\d-\d\dT[\d:.]+Z three\n$/);
  assert.equal(await read({ follow: true, tailLines: 1 }), 'three\nfour\n');
  const previous = await pollUntil('a previous log', () => read({ previous: true }).catch(() => undefined), { timeoutMs: 30_000 }, signal);
  assert.match(previous, /^one\ntwo\n/);
  await assert.rejects(real.node.client.logs(pod, { container: 'other' }, signal), (error) => isError(error, 'invalid'));
});

test('the listener lets nobody in without a certificate of the instance', { skip }, async () => {
  await using real = await openWithPod('sleep 1000');
  const { port } = real.node.agent.listener;
  const { connect } = await import('node:tls');
  const failure = await new Promise<string>((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, ca: real.node.tls.ca.cert, servername: 'node-1' }, () => socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n'));
    socket.once('error', (error) => resolve(error.message));
    socket.once('data', (data) => resolve(data.toString()));
    socket.once('close', () => resolve('closed'));
  });
  assert.match(failure, /certificate required|closed|ECONNRESET/);
});

test('metrics are rates between two samples', { skip }, async () => {
  await using real = await openWithPod('while true; do :; done');
  const stop = new AbortController();
  const running = real.metrics.run(stop.signal);
  try {
    const [usage] = await pollUntil('pod metrics', async () => ((await real.metrics.pods('default')).length > 0 ? real.metrics.pods('default') : undefined), { timeoutMs: 30_000, intervalMs: 100 }, signal);
    assert.equal(usage?.name, 'web');
    assert.ok((usage?.containers[0]?.cpuNanocores ?? 0n) > 50_000_000n, String(usage?.containers[0]?.cpuNanocores));
    assert.ok((usage?.containers[0]?.memoryBytes ?? 0) > 0);
    assert.equal((await real.metrics.nodes()).length, 1);
    assert.deepEqual(await real.metrics.pods('elsewhere'), []);
  } finally {
    stop.abort();
    await running;
  }
});

test('rateOf() gives nothing for one reading, a short window or a counter that began anew', () => {
  const at = (seconds: number, cpuNanoseconds: bigint) => ({ time: new Date(seconds * 1000).toISOString(), cpuNanoseconds });
  assert.deepEqual(
    [rateOf(undefined, at(0, 1n)), rateOf(at(0, 0n), at(0.5, 9n)), rateOf(at(0, 9n), at(5, 1n)), rateOf(at(0, 0n), at(2, 1_000_000_000n))],
    [undefined, undefined, undefined, { windowMs: 2000, cpuNanocores: 500_000_000n }],
  );
});

const run = promisify(execFile);
const hasKubectl = await run('kubectl', ['version', '--client']).then(() => true, () => false);

test('kubectl gets, logs, executes and deletes', { skip: skip || (hasKubectl ? false : 'kubectl is not installed') }, async () => {
  await using real = await openWithPod('echo hello; sleep 1000');
  await using config = await openKubeconfig(real);
  const { kubectl } = config;
  assert.match(await kubectl('get', 'pods'), /web\s+1\/1\s+Running\s+0/);
  assert.equal(await kubectl('logs', 'web'), 'hello\n');
  assert.equal(await kubectl('exec', 'web', '--', 'hostname'), 'web\n');
  await assert.rejects(kubectl('exec', 'web', '--', 'sh', '-c', 'exit 4'), (error: { code?: number }) => error.code === 4);
  assert.match(await kubectl('describe', 'pod', 'web'), /Started\s+.*Started container app/);
  assert.match(await kubectl('exec', '-i', 'web', '--', 'id'), /^uid=0/);
  await kubectl('delete', 'pod', 'web', '--wait');
  assert.equal(await real.node.pod('web'), undefined);
});

test('kubectl attaches to a container, pipes through a pod of its own, and gets a terminal', { skip: skip || (hasKubectl ? false : 'kubectl is not installed') }, async () => {
  await using real = await openRealNode();
  await real.node.createPod('web', { restartPolicy: 'Never', containers: [{ name: 'app', image: realNodeImage, command: ['sh', '-c', 'read name; echo hello $name'], stdin: true }, { name: 'other', image: realNodeImage }] });
  await real.node.waitPod('web', 'Running', isRunning);
  await using config = await openKubeconfig(real);
  const attached = spawn('kubectl', ['attach', '-i', 'web', '-c', 'app'], { env: config.env, stdio: ['pipe', 'pipe', 'ignore'] });
  attached.stdin.end('gantry\n');
  assert.match(await text(attached.stdout), /hello gantry/);
  const overrides = JSON.stringify({ spec: { nodeName: 'node-1' } });
  const piped = spawn('kubectl', ['run', 'once', '--image', realNodeImage, '--image-pull-policy=IfNotPresent', '--overrides', overrides, '--restart=Never', '-i', '--rm', '--', 'cat'], { env: config.env, stdio: ['pipe', 'pipe', 'inherit'] });
  piped.stdin.end('through a pod\n');
  assert.match(await text(piped.stdout), /through a pod/);
  const terminal = spawn('script', ['-qec', 'kubectl exec -it web -c other -- sh -c "test -t 0 && echo a terminal"', '/dev/null'], { env: config.env, stdio: ['ignore', 'pipe', 'ignore'] });
  assert.match(await text(terminal.stdout), /a terminal/);
});

test('kubectl forwards ports into the pod', { skip: skip || (hasKubectl ? false : 'kubectl is not installed') }, async () => {
  await using real = await openWithPod('mkdir -p /tmp/www; for i in 1 2 3 4 5 6 7 8; do cat /bin/busybox; done > /tmp/www/big; echo page > /tmp/www/index.html; httpd -f -p 127.0.0.1:8000 -h /tmp/www');
  await using config = await openKubeconfig(real);
  const forward = spawn('kubectl', ['port-forward', 'pod/web', ':8000', ':8001'], { env: config.env, stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    const output = { text: '' };
    for (const stream of [forward.stdout, forward.stderr]) stream.on('data', (chunk: Buffer) => (output.text += chunk.toString()));
    const [open, closed] = await pollUntil('two ports', () => {
      const ports = [...output.text.matchAll(/127\.0\.0\.1:(\d+) ->/g)].map(([, port]) => port);
      return ports.length === 2 ? ports : undefined;
    }, { timeoutMs: 30_000 }, signal);
    const fetchText = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${open ?? ''}${path}`, { headers: { connection: 'close' } })).text();
    assert.equal(await fetchText('/index.html'), 'page\n');
    const bodies = await Promise.all(['/big', '/index.html', '/big'].map(async (path) => (await fetchText(path)).length));
    assert.deepEqual([bodies[1], bodies[0] === bodies[2], (bodies[0] ?? 0) > 1_000_000], [5, true, true]);
    await assert.rejects(fetch(`http://127.0.0.1:${closed ?? ''}/`));
    await pollUntil('the reason', () => (/cannot connect to port 8001 of the pod/.test(output.text) ? true : undefined), { timeoutMs: 30_000 }, signal);
  } finally {
    forward.kill();
  }
});

async function openKubeconfig(real: RealNode): Promise<{ env: Record<string, string>; kubectl: (...args: string[]) => Promise<string> } & AsyncDisposable> {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-kubectl-'));
  const { server, token } = real.node.api.connection;
  const cluster = { server, 'certificate-authority-data': Buffer.from(real.node.tls.ca.cert).toString('base64') };
  const config = { apiVersion: 'v1', kind: 'Config', 'current-context': 'test', clusters: [{ name: 'test', cluster }], users: [{ name: 'test', user: { token } }], contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }] };
  writeFileSync(join(folder, 'config'), JSON.stringify(config));
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder, KUBECONFIG: join(folder, 'config') };
  return {
    env,
    kubectl: async (...args) => (await run('kubectl', args, { env, timeout: 30_000 })).stdout,
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  };
}
