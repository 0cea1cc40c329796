import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname } from 'node:path';
import { type gatewayApi, type k8s, resources } from '../src/api/mod.ts';
import { type KubeClient, openKubeClient, readKubeconfig } from '../src/client/mod.ts';
import { GantryError, pollUntil, runCommand } from '../src/kernel/mod.ts';
import type { Instance } from '../test/story/instance.ts';
import { percentile } from '../test/story/load.ts';
import { busyboxContext } from './contexts.ts';
import { report } from './report.ts';

const namespace = 'default';
const proxyPort = 18_080;
const rounds = 15;
const services = 1_000;
const patience = { timeoutMs: 120_000, intervalMs: 20 };

/** Requests a second and p99 to one pod: directly, through its Service, through HAProxy. Then how long a change takes with 1,000 Services. */
export async function benchClusterServices(instance: Instance, signal: AbortSignal): Promise<void> {
  await using context = await busyboxContext();
  await instance.docker(['build', '-q', '-t', 'bench/busybox', context.folder], signal);
  const { connection } = await readKubeconfig(instance.value('KUBECONFIG'));
  await using client = openKubeClient(connection);
  await benchPaths(await openPaths(client, signal), signal);
  await benchChanges(client, signal);
}

/** One pod that answers "ok", run by the machine's own Node, and the addresses at which it is reached. */
async function openPaths(client: KubeClient, signal: AbortSignal): Promise<Record<string, string>> {
  const mounts = Object.entries({ '/lib': '/usr/lib', '/lib64': '/usr/lib64', '/node': dirname(process.execPath) });
  const program = "require('node:http').createServer((_, response) => response.end('ok')).listen(8080)";
  await client.create<k8s.Pod>(
    resources.pods,
    {
      metadata: { namespace, name: 'answering', labels: { app: 'answering' } },
      spec: {
        containers: [{ name: 'app', image: 'bench/busybox', imagePullPolicy: 'Never', command: ['/node/node', '-e', program], readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 }, volumeMounts: mounts.map(([mountPath], index) => ({ name: `host-${index}`, mountPath, readOnly: true })) }],
        volumes: mounts.map(([, path], index) => ({ name: `host-${index}`, hostPath: { path } })),
      },
    },
    signal,
  );
  const service = await client.create<k8s.Service>(resources.services, { metadata: { namespace, name: 'answering' }, spec: { selector: { app: 'answering' }, ports: [{ port: 80, targetPort: 8080 }] } }, signal);
  await client.create<gatewayApi.GatewayClass>(resources.gatewayClasses, { metadata: { name: 'haproxy' }, spec: { controllerName: 'gantry.dev/haproxy' } }, signal);
  await client.create<gatewayApi.Gateway>(resources.gateways, { metadata: { namespace, name: 'front' }, spec: { gatewayClassName: 'haproxy', listeners: [{ name: 'web', port: proxyPort, protocol: 'HTTP' }] } }, signal);
  await client.create<gatewayApi.HTTPRoute>(resources.httpRoutes, { metadata: { namespace, name: 'answering' }, spec: { parentRefs: [{ name: 'front' }], rules: [{ backendRefs: [{ name: 'answering', port: 80 }] }] } }, signal);
  const podIp = await pollUntil('the pod', async () => (await client.get(resources.pods, { namespace, name: 'answering' }, signal)).status?.podIP, patience, signal);
  const paths = { direct: `http://${podIp}:8080/`, Service: `http://${service.spec?.clusterIP ?? ''}/`, HAProxy: `http://127.0.0.1:${proxyPort}/` };
  for (const [who, url] of Object.entries(paths)) await pollUntil(`${who} to answer`, async () => ((await fetch(url).then((reply) => reply.text(), () => '')) === 'ok' ? true : undefined), patience, signal);
  return paths;
}

interface Measured { readonly perSecond: number; readonly p99Ms: number }

async function benchPaths(paths: Record<string, string>, signal: AbortSignal): Promise<void> {
  for (const [what, connections, headers] of [['connections kept, 16 at once', 16, []], ['a connection each, 16 at once', 16, ['-H', 'Connection: close']]] as const) {
    const results = new Map<string, Measured[]>(Object.keys(paths).map((who) => [who, []]));
    for (let round = -1; round < rounds; round += 1) {
      for (const [who, url] of Object.entries(paths)) {
        const measured = await runWrk(url, connections, headers, signal);
        if (round >= 0) results.get(who)?.push(measured);
      }
    }
    console.log(`\ncluster-services: ${what} (wrk and the pod share the machine; medians of ${rounds} interleaved rounds)`);
    const direct = results.get('direct') ?? [];
    for (const [who, all] of results) {
      const ratios = all.map(({ perSecond }, index) => perSecond / (direct[index]?.perSecond ?? Number.NaN));
      console.log(`  ${who.padEnd(10)} ${percentile(all.map(({ perSecond }) => perSecond), 0.5).toFixed(0).padStart(7)} requests/s  p99 ${percentile(all.map(({ p99Ms }) => p99Ms), 0.5).toFixed(2).padStart(7)} ms  ${percentile(ratios, 0.5).toFixed(2)} of direct`);
    }
  }
}

async function runWrk(url: string, connections: number, headers: readonly string[], signal: AbortSignal): Promise<Measured> {
  const { stdout } = await runCommand('wrk', ['-t1', `-c${connections}`, '-d1', '--latency', ...headers, url], {}, signal);
  const [, perSecond] = /Requests\/sec:\s+([\d.]+)/.exec(stdout) ?? [];
  const [, p99, unit] = /99%\s+([\d.]+)(us|ms|s)/.exec(stdout) ?? [];
  const factor = { us: 0.001, ms: 1, s: 1_000 }[unit ?? ''];
  if (perSecond === undefined || factor === undefined) throw new GantryError('unavailable', `wrk does not say how it went: ${stdout}`);
  return { perSecond: Number(perSecond), p99Ms: Number(p99) * factor };
}

/** From the request that moves a Service's endpoint until a new connection gets there, with one Service and with 1,000. */
async function benchChanges(client: KubeClient, signal: AbortSignal): Promise<void> {
  const podIp = (await client.get(resources.pods, { namespace, name: 'answering' }, signal)).status?.hostIP ?? '';
  await using first = await openAnswer('first');
  await using second = await openAnswer('second');
  const sliceOf = (name: string, port: number): k8s.EndpointSlice => ({ metadata: { namespace, name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } }, addressType: 'IPv4', ports: [{ name: '', port, protocol: 'TCP' }], endpoints: [{ addresses: [podIp], conditions: { ready: true } }] });
  const make = async (name: string): Promise<string> => {
    const { spec } = await client.create<k8s.Service>(resources.services, { metadata: { namespace, name }, spec: { ports: [{ port: 80 }] } }, signal);
    await client.create(resources.endpointSlices, sliceOf(name, first.port), signal);
    return spec?.clusterIP ?? '';
  };
  const address = await make('moving');
  const answer = (): Promise<string> => fetch(`http://${address}/`, { headers: { connection: 'close' } }).then((reply) => reply.text(), () => '');
  const until = (expected: string) => pollUntil(expected, async () => ((await answer()) === expected ? true : undefined), { timeoutMs: 60_000, intervalMs: 1 }, signal);
  const move = async (count: number): Promise<number[]> => {
    const timesMs: number[] = [];
    for (let index = 0; index < count; index += 1) {
      const [port, expected] = index % 2 === 0 ? [second.port, 'second'] : [first.port, 'first'];
      const sentAt = performance.now();
      await client.patch(resources.endpointSlices, { namespace, name: 'moving-1' }, { type: 'merge', body: { ports: sliceOf('moving', port).ports } }, signal);
      await until(expected);
      timesMs.push(performance.now() - sentAt);
    }
    return timesMs;
  };
  await until('first');
  const few = await move(40);
  for (let at = 0; at < services; at += 50) await Promise.all(Array.from({ length: 50 }, (_, index) => make(`many-${at + index}`)));
  const many = await move(40);
  report(`cluster-services: a changed endpoint until a new connection gets there`, [{ who: 'few Services', timesMs: few }, { who: `${services} more`, timesMs: many }]);
}

async function openAnswer(text: string): Promise<AsyncDisposable & { port: number }> {
  const server = createServer((_request, response) => response.end(text));
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
